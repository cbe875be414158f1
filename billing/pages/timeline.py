"""Usage over time as a page shows it: a row a window beside what it is compared with, and what it is made of.
From counters alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from billing.charts import Bar, BarChart, Series
from billing.pages.span import Span
from metering.outcome import Outcome
from metering.period import HOUR_US, day_of
from metering.store import EventStore
from metering.usage import Counts, Usage, WindowSize

BILLABLE, NOT_BILLED, EXPECTED = (
    Series("Billable", "billed"),
    Series("Not billed", "unbilled"),
    Series("Expected", "ahead"),
)
# So many workspaces and flows have a row of their own.
TOP = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A window: its counts, the billable runs that are expected beyond them, and the billable runs of the
    window that it is compared with (None where there is none). `to_come`: it is all in the future."""

    start: int
    counts: Counts
    expected: int
    before: int | None
    to_come: bool

    @property
    def not_billed(self) -> int:
        return self.counts.total - self.counts.billable


@dataclass(frozen=True, slots=True)
class Timeline:
    """`before` are the billable runs of what the span is compared with, and `this` those of the span itself,
    to the same hour of both where the span is not over; `before_to` is that hour."""

    span: Span
    rows: tuple[Row, ...]
    counts: Counts
    this: int
    before: int
    before_to: int

    @property
    def expected(self) -> int:
        return sum(row.expected for row in self.rows)


@dataclass(frozen=True, slots=True)
class Part:
    """A workspace or a flow; `name` is None for all others together, which are `others` in number."""

    name: str | None
    counts: Counts
    others: int = 0


def timeline(
    store: EventStore, account: str, span: Span, now: int, expected: Mapping[date, int] | None = None
) -> Timeline:
    """`expected`: the billable runs that are forecast beyond those known, by day, for a month by the day."""
    this = store.usage(account, span.start, span.end, by=span.by)
    other = span.compared
    before = store.usage(account, other.start, other.end, by=span.by)
    counts = {window.start: window.counts for window in this.windows}
    earlier = {window.start: window.counts for window in before.windows}
    over = _so_far(span, now)
    to = min(other.end, other.start + over)

    def billable(usage: Usage, end: int) -> int:
        """To a whole hour."""
        rest = store.usage(account, end, usage.end, by="day") if end < usage.end else None
        return usage.counts.billable - (0 if rest is None else rest.counts.billable)

    return Timeline(
        span,
        rows_of(span, counts, earlier, expected or {}, now),
        this.counts,
        this=billable(this, span.start + over),
        before=billable(before, to),
        before_to=to,
    )


def rows_of(
    span: Span,
    counts: Mapping[int, Counts],
    earlier: Mapping[int, Counts],
    expected: Mapping[date, int],
    now: int,
) -> tuple[Row, ...]:
    """A row a window, from the counts of windows that have any, by their start: of the span, and of what it
    is compared with."""
    places = span.compared.windows
    return tuple(
        Row(
            start,
            counts.get(start, Counts()),
            expected.get(day_of(start), 0) if span.kind == "month" else 0,
            earlier.get(places[number], Counts()).billable if number < len(places) else None,
            start > now,
        )
        for number, start in enumerate(span.windows)
    )


def _so_far(span: Span, now: int) -> int:
    """How much of a span is over, in whole hours."""
    return max(0, min(now - now % HOUR_US, span.end) - span.start)


def parts_of(store: EventStore, account: str, span: Span, *, top: int | None = TOP) -> dict[str, list[Part]]:
    """By workspace and by flow: those with the most billable runs, and all others together; of all, without
    `top`."""
    by: WindowSize = "day" if span.kind == "day" else "month"
    usage = store.usage(account, span.start, span.end, by=by, group_by="both")
    sums: dict[str, dict[str, Counter[Outcome]]] = {"workspace": {}, "flow": {}}
    for window in usage.windows:
        for of, name in (("workspace", window.workspace), ("flow", window.flow)):
            sums[of].setdefault(name or "", Counter()).update(window.counts.by_outcome)
    return {
        of: _top({name: Counts(dict(each)) for name, each in found.items()}, top)
        for of, found in sums.items()
    }


def _top(found: Mapping[str, Counts], top: int | None) -> list[Part]:
    in_order = sorted(found, key=lambda name: (-found[name].billable, -found[name].total, name))
    shown = in_order if top is None or len(in_order) <= top + 1 else in_order[:top]
    rest: Counter[Outcome] = Counter()
    others = in_order[len(shown) :]
    for name in others:
        rest.update(found[name].by_outcome)
    parts = [Part(name, found[name]) for name in shown]
    return [*parts, Part(None, Counts(dict(rest)), len(others))] if others else parts


def chart_of(span: Span, rows: Sequence[Row], *, name: str, description: str) -> BarChart:
    """The picture of the rows."""
    ahead = any(row.expected for row in rows)
    series = (BILLABLE, NOT_BILLED, EXPECTED) if ahead else (BILLABLE, NOT_BILLED)
    bars = []
    for row in rows:
        parts = (row.counts.billable, row.not_billed, row.expected)
        bars.append(
            Bar(span.window_label(row.start), span.window_name(row.start), parts[: len(series)], row.before)
        )
    compared = any(row.before for row in rows)
    if not compared:
        bars = [Bar(bar.label, bar.name, bar.parts) for bar in bars]
    marks = f"Billable in {span.compared.name}" if span.kind != "day" else f"Billable on {span.compared.name}"
    return BarChart(name, f"Task runs of {span.name}", description, series, bars, marks if compared else "")
