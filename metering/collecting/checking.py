"""Looks at whether all task runs of a source are in the meter, fetches what is not, and moves the watermark
(`completeness.py` says what it means)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import structlog

from metering.collecting import state
from metering.collecting.collector import Meter, read_again
from metering.collecting.completeness import (
    RECORDS_AFTER_US,
    Day,
    add_day,
    bounds,
    complete_to,
    counted_span,
    days_of,
    replace_day,
    within,
)
from metering.collecting.prefect_rows import Row
from metering.collecting.prefect_server import PAGE, PrefectServer
from metering.collecting.reading import Span, spans_around
from metering.collecting.recovery import meter_records, not_held
from metering.collecting.source import Claim, Source
from metering.database import reading, writing
from metering.ingestion import IngestReport
from metering.period import DAY_US, format_instant

log = structlog.get_logger()


@dataclass(slots=True)
class Checked:
    """To when the source is complete now, how many task runs that are, and what stands in the way of more.
    `fetched` counts the events that were read again, `recovered` the task runs that had none any more."""

    complete_to: int
    runs: int = 0
    missing: list[Row] = field(default_factory=list)
    recovered: int = 0
    fetched: IngestReport = field(default_factory=IngestReport)


def check(meter: Meter, source: Source, server: PrefectServer, until: int) -> Checked:
    """Look at what ended before `until`, less the time in which it settles, and store the watermark. Raises
    PrefectError; what was claimed before then stays."""
    checked_at = meter.now()
    with reading(meter.engine) as connection:
        known = state.days(connection, source)
    found, days = _look(meter, source, server, known, until)
    found.runs = sum(day.runs for day in days.values())
    claim = Claim(found.complete_to, found.runs, meter.store.cutoff().position, checked_at)
    with writing(meter.engine) as connection:
        if state.save_claim(connection, source, claim, checked_at):
            state.save_days(connection, source, days)
            ids = tuple(each.task_run_id for each in found.missing)
            state.save_missing(connection, source, ids, len(ids))
            if source.lost is not None and found.complete_to >= source.lost.end:
                state.forget_lost(connection, source)
    if found.missing:
        _warn(source, found)
    return found


def _look(
    meter: Meter, source: Source, server: PrefectServer, known: dict[int, Day], until: int
) -> tuple[Checked, dict[int, Day]]:
    """What was found, and the days as they are known now."""
    before, end = bounds(source.since, source.complete_to, until)
    span = counted_span(source.since, before)
    days = within(known, span)
    found = Checked(end)
    for part in [*_changed(server, span, days), *days_of(Span(before, end))]:
        again = part.end <= before
        seen, missing = _look_at(meter, source, server, part, until, found)
        days = replace_day(days, part, seen) if again else add_day(days, part, seen)
        if missing:
            found.missing = missing
            found.complete_to = complete_to(end, (each.ended_at for each in missing))
            days = {number: day for number, day in days.items() if number <= part.start // DAY_US}
            break
    _look_at_recent(meter, source, server, Span(end, until), found)
    return found, days


def _look_at_recent(meter: Meter, source: Source, server: PrefectServer, span: Span, found: Checked) -> None:
    """What has not settled: nothing is claimed of it, and what has lost its events need not wait until it
    has."""
    rows = server.rows(*span)
    while page := list(islice(rows, PAGE)):
        old = _left_alone(not_held(meter, source, page), span.end)
        read_again(meter, source, server, _spans(old), found.fetched)
        found.recovered += meter_records(meter, source, server, not_held(meter, source, old))


def _left_alone(missing: Iterable[Row], until: int) -> list[Row]:
    """Those of which nothing more is on its way: their records were written a while ago."""
    return [each for each in missing if each.written_at <= until - RECORDS_AFTER_US]


def _changed(server: PrefectServer, span: Span, days: dict[int, Day]) -> list[Span]:
    """The days of which the source does not count any more what it counted when they were looked at."""
    if span.start >= span.end or server.count(*span) == sum(day.counted for day in days.values()):
        return []
    nothing = Day(-1, 0)
    return [
        part
        for part in days_of(span)
        if server.count(*part) != days.get(part.start // DAY_US, nothing).counted
    ]


def _look_at(
    meter: Meter, source: Source, server: PrefectServer, part: Span, until: int, found: Checked
) -> tuple[Day, list[Row]]:
    """A day or a part of it, run by run. What is missing is fetched, and is no more where that helped. The
    day counts up to the first that is missing still."""
    # Counted first: what comes meanwhile makes the day look changed the next time.
    counted = server.count(*part)
    runs, before_missing, missing = _compare(meter, source, server.rows(*part))
    if missing:
        read_again(meter, source, server, _spans(missing), found.fetched)
        missing = not_held(meter, source, missing)
        found.recovered += meter_records(meter, source, server, _left_alone(missing, until))
        missing = not_held(meter, source, missing)
    return (Day(before_missing, before_missing) if missing else Day(counted, runs)), missing


def _compare(meter: Meter, source: Source, rows: Iterator[Row]) -> tuple[int, int, list[Row]]:
    """How many task runs there are, how many ended before the first that is not held, and those that are
    not."""
    runs, before_missing = 0, 0
    missing: list[Row] = []
    while page := list(islice(rows, PAGE)):
        lacking = not_held(meter, source, page)
        # The rows come latest first.
        after_first = page.index(lacking[-1]) + 1 if lacking else 0
        before_missing = len(page) - after_first + (0 if lacking else before_missing)
        runs += len(page)
        missing += lacking
    return runs, before_missing, missing


def _spans(missing: Iterable[Row]) -> list[Span]:
    return spans_around(instant for each in missing for instant in (each.ended_at, each.stated_at))


def _warn(source: Source, found: Checked) -> None:
    log.error(
        "task runs are missing: the source has them, and gives no events of them",
        source=source.id,
        account=source.account,
        quantity=len(found.missing),
        complete_to=format_instant(found.complete_to),
        task_runs=[each.task_run_id for each in found.missing[:3]],
    )
