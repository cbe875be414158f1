"""Usage over time: a day by the hour, a month by the day, a year by the month; beside the period before, and
by workspace and flow. As a page, and as the files of what it shows."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response

from billing.charts import bar_chart
from billing.errors import Invalid
from billing.exports.csv_file import csv_lines
from billing.exports.table import Columns, Kind, Table
from billing.pages.span import Span, read_span
from billing.pages.timeline import Timeline, chart_of, parts_of, timeline
from billing.pages.visit import Visit, secured
from billing.pages.words import svg
from billing.pricing.days import first_day
from metering.forecast import HISTORY_DAYS, Forecast, forecast
from metering.outcome import NOT_BILLED
from metering.period import DAY_US, Month, day_of, day_start

_COUNTS: Columns = {"billable": Kind.COUNT, **{outcome.reason: Kind.COUNT for outcome in NOT_BILLED}}


def show(visit: Visit) -> Response:
    span = _span(visit)
    today = day_of(visit.now)
    ahead = _ahead(visit, span)
    shown = _timeline(visit, span, ahead)
    parts = parts_of(visit.service.store, visit.account.id, span)
    largest = {of: max((each.counts.total for each in found), default=0) for of, found in parts.items()}
    return visit.page(
        "usage.html",
        span=span,
        kinds=[(kind, span.as_kind(kind, today)) for kind in ("day", "month", "year")],
        earlier=span.previous,
        later=span.following if span.following.start <= visit.now else None,
        shown=shown,
        past=None if ahead is None else ahead.past,
        chart=svg(bar_chart(chart_of(span, shown.rows, name="over-time", description=_says(shown)))),
        parts_by=parts,
        largest=largest,
        runs_of=_runs_of(span),
        running=span.start <= visit.now < span.end,
    )


def csv(visit: Visit) -> Response:
    """What the page shows, as a file: a row a window; of a `workspace` or a `flow`, with `of`, a row each."""
    span = _span(visit)
    of = visit.query("of")
    if of not in ("", "workspace", "flow"):
        raise Invalid(f"of {of!r} is not workspace or flow", field="of")
    table = _parts_table(visit, span, of) if of else _timeline_table(visit, span)
    name = "-".join(filter(None, ("usage", span.query.partition("=")[2], of and f"by-{of}")))
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    answer = Response(b"".join(csv_lines(table)), media_type="text/csv", headers=headers)
    return secured(visit.service, answer)


def _span(visit: Visit) -> Span:
    asked = {name: visit.query(name) for name in ("day", "month", "year")}
    return read_span(asked, day_of(visit.now))


def _ahead(visit: Visit, span: Span) -> Forecast | None:
    """Of the month that is running."""
    if span.kind != "month" or span.month != Month.of(visit.now):
        return None
    today = day_of(visit.now)
    since = day_start(today) - HISTORY_DAYS * DAY_US
    known = visit.service.store.billable_days(visit.account.id, since, day_start(today) + DAY_US)
    return forecast(known, today, first_day(span.month.next()))


def _timeline(visit: Visit, span: Span, ahead: Forecast | None) -> Timeline:
    expected = None if ahead is None else ahead.days
    return timeline(visit.service.store, visit.account.id, span, visit.now, expected)


def _says(shown: Timeline) -> str:
    """What the picture shows, in words."""
    counts, span = shown.counts, shown.span
    said = [f"By the {span.by}: {counts.billable:,} billable, {counts.total - counts.billable:,} not billed."]
    busiest = max(shown.rows, key=lambda row: row.counts.billable)
    if busiest.counts.billable:
        said.append(
            f"The most billable ones, {busiest.counts.billable:,}: {span.window_name(busiest.start)}."
        )
    if shown.before:
        said.append(f"{shown.before:,} billable to the same time of {span.compared.name}.")
    if shown.expected:
        said.append(f"{shown.expected:,} more are expected.")
    said.append("The table below has the figures.")
    return " ".join(said)


def _runs_of(span: Span) -> dict[str, str] | None:
    """What a run list is asked for to show the runs of the span; None of a year, which no list has."""
    if span.kind == "year":
        return None
    day = {"day": span.first.isoformat()} if span.kind == "day" else {}
    return {"month": str(span.month), "outcome": "billable", **day}


def _timeline_table(visit: Visit, span: Span) -> Table:
    shown = _timeline(visit, span, _ahead(visit, span))

    def rows() -> Iterator[tuple[object, ...]]:
        for row in shown.rows:
            counts = row.counts
            yield (row.start, counts.billable, *counts.not_billed.values(), row.before)

    before = f"billable_in_{span.compared.query.partition('=')[2]}"
    columns = {"start": Kind.INSTANT, **_COUNTS, before: Kind.COUNT}
    return Table("usage", columns, rows())


def _parts_table(visit: Visit, span: Span, of: str) -> Table:
    found = parts_of(visit.service.store, visit.account.id, span, top=None)[of]
    rows = ((each.name, each.counts.billable, *each.counts.not_billed.values()) for each in found)
    return Table("usage", {of: Kind.TEXT, **_COUNTS}, rows)
