"""What the rule would make of what really ran, were its threshold another; the same for every door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa

from billing.backtest.gathering import Threshold, gather, months_between
from billing.backtest.report import Report
from billing.backtest.rerating import rerate
from billing.errors import Invalid
from metering.durations import DurationsAsked, RunDurations
from metering.outcome import THRESHOLD_US
from metering.period import SECOND_US, Month
from metering.store import EventStore

# Where bands begin, in milliseconds, whatever is asked.
_EDGES_MS = (100, 250, 500, 750, 900, 950, 1000, 1050, 1100, 1250, 1500, 2000, 3000, 5000, 10_000, 60_000)
# Bands on either side of a threshold, in percent of it: what is gamed, or timed by a clock that is off, piles
# up in the ones next to it.
_NEAR = (90, 95, 100, 105, 110)
MOST_THRESHOLDS = 8
LONGEST_S = 3600


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """Of one threshold: `billable` runs of all accounts, and of each month; `just_below` and `just_above` are
    completions within 5 % of it; `report`: what months cost now, and at the threshold."""

    us: int
    billable: int
    by_month: tuple[int, ...]
    just_below: int
    just_above: int
    report: Report


@dataclass(frozen=True, slots=True)
class WhatIf:
    """`completed` and `cached` runs of all accounts by duration, in bands that `edges` cut."""

    months: tuple[Month, ...]
    edges: tuple[int, ...]
    completed: tuple[int, ...]
    cached: tuple[int, ...]
    billable_now: tuple[int, ...]
    outcomes: tuple[AtThreshold, ...]
    partial: bool

    def to_data(self, *, limit: int | None = None) -> dict[str, Any]:
        """In the shape of JSON answers; of each threshold's accounts the first so many."""
        bounds = [0, *self.edges]
        return {
            "from": str(self.months[0]),
            "to": str(self.months[-1]),
            "partial": self.partial,
            "threshold_now": seconds(THRESHOLD_US),
            "billable_now": sum(self.billable_now),
            "histogram": [
                {
                    "above": seconds(bounds[place]),
                    "up_to": seconds(self.edges[place]) if place < len(self.edges) else None,
                    "completed": completed,
                    "cached": cached,
                    "billable_now": bounds[place] >= THRESHOLD_US,
                }
                for place, (completed, cached) in enumerate(zip(self.completed, self.cached, strict=True))
            ],
            "months": [
                {
                    "month": str(month),
                    "billable_now": self.billable_now[place],
                    "billable": {seconds(each.us): each.by_month[place] for each in self.outcomes},
                }
                for place, month in enumerate(self.months)
            ],
            "thresholds": [_outcome(each, limit) for each in self.outcomes],
        }


def what_if(
    engine: sa.Engine,
    store: EventStore,
    thresholds: Sequence[str],
    first: Month,
    last: Month,
    *,
    now: int,
    unbilled: bool = False,
) -> WhatIf:
    """Billable runs and revenue of some months, were only longer runs billed than these thresholds (seconds,
    as text). Runs are read once a month. Raises Invalid."""
    from billing.backtest.operation import check_months

    check_months(first, last, now)
    asked = sorted({read_threshold(each) for each in thresholds})
    if not 0 < len(asked) <= MOST_THRESHOLDS:
        raise Invalid(f"name 1 to {MOST_THRESHOLDS} thresholds, in seconds", field="threshold")
    months = months_between(first, last)
    edges, found = read_durations(store, months, asked)
    outcomes = []
    for place, us in enumerate(asked, 1):
        by_month = [{name: each.billable[place] for name, each in month.items()} for month in found]
        history = gather(engine, store, months, unbilled=unbilled, threshold=Threshold(us, by_month))
        sums = tuple(sum(month.values()) for month in by_month)
        completed = _bands(found, len(edges) + 1, "bands")
        below = sum(_between(edges, completed, us * 95 // 100, us))
        above = sum(_between(edges, completed, us, us * 105 // 100))
        report = Report.of(rerate(history), partial=last == Month.of(now))
        outcomes.append(AtThreshold(us, sum(sums), sums, below, above, report))
    return WhatIf(
        months,
        edges,
        _bands(found, len(edges) + 1, "bands"),
        _bands(found, len(edges) + 1, "cached"),
        tuple(sum(each.billable[0] for each in month.values()) for month in found),
        tuple(outcomes),
        last == Month.of(now),
    )


def read_durations(
    store: EventStore, months: Sequence[Month], thresholds: Sequence[int]
) -> tuple[tuple[int, ...], list[dict[str, RunDurations]]]:
    """The edges of bands, and of each month the figures of all accounts; the first threshold of these is that
    of today."""
    edges = {each * 1000 for each in _EDGES_MS}
    edges |= {us * percent // 100 for us in (*thresholds, THRESHOLD_US) for percent in _NEAR}
    in_order = tuple(sorted(edges))
    every = (THRESHOLD_US, *thresholds)
    asked = [DurationsAsked(month.start, month.end, in_order, every) for month in months]
    return in_order, [store.run_durations(each) for each in asked]


def other_rule(store: EventStore, months: Sequence[Month], us: int) -> Threshold:
    """The runs of each month that would count at a threshold, for a history under it."""
    _, found = read_durations(store, months, [us])
    return Threshold(us, [{name: each.billable[1] for name, each in month.items()} for month in found])


def read_threshold(text: str) -> int:
    """Seconds as text, with up to six places, as whole microseconds. Raises Invalid.

    >>> read_threshold("0.5")
    500000
    """
    wrong = f"{text[:40]!r} is not a threshold; write seconds from 0 to {LONGEST_S} with up to 6 places: 0.5"
    try:
        value = Decimal(text) * SECOND_US
        whole = int(value)
    except (InvalidOperation, ValueError, OverflowError):
        raise Invalid(wrong, field="threshold") from None
    if whole != value or not 0 <= whole <= LONGEST_S * SECOND_US:
        raise Invalid(wrong, field="threshold")
    return whole


def seconds(us: int) -> str:
    """
    >>> seconds(500_000), seconds(2_000_000), seconds(0)
    ('0.5', '2', '0')
    """
    return format((Decimal(us) / SECOND_US).normalize(), "f")


def _bands(found: Sequence[dict[str, RunDurations]], count: int, name: str) -> tuple[int, ...]:
    sums = [0] * count
    for month in found:
        for each in month.values():
            for place, quantity in enumerate(getattr(each, name)):
                sums[place] += quantity
    return tuple(sums)


def _between(edges: Sequence[int], bands: Sequence[int], above: int, up_to: int) -> list[int]:
    bounds = [-1, *edges]  # what took no time is above nothing
    return [bands[place] for place, edge in enumerate(edges) if above <= bounds[place] and edge <= up_to]


def _outcome(each: AtThreshold, limit: int | None) -> dict[str, Any]:
    data = each.report.to_data(limit=limit, by_size=True)
    kept = ("totals", "months", "distribution", "accounts", "accounts_left_off", "left_out")
    return {
        "threshold": seconds(each.us),
        "billable": each.billable,
        "just_below": each.just_below,
        "just_above": each.just_above,
        **{name: data[name] for name in kept},
    }
