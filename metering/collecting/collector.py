"""Collects a source's events into the meter: the pass that is due, a page at a time.

A page's events are durable before the progress is stored, and nothing else is kept between pages. So a
process may end anywhere: the next one reads some events again, which changes nothing, and skips none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog
from msgspec.structs import replace

from metering.collecting import state
from metering.collecting.errors import TooSlow
from metering.collecting.prefect_server import PrefectServer
from metering.collecting.reading import (
    SLICE_US,
    SMALLEST_SLICE_US,
    Reading,
    Span,
    advance,
    begin,
    latest,
)
from metering.collecting.source import Source
from metering.database import writing
from metering.event import TaskRunEvent
from metering.ingestion import IngestReport
from metering.period import format_instant
from metering.sources import Admission, Decoded, Rejection
from metering.sources.fields import FieldError
from metering.sources.prefect import read_prefect
from metering.store import EventStore

log = structlog.get_logger()

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Meter:
    """Where events are kept, and the clock."""

    engine: sa.Engine
    store: EventStore
    now: Callable[[], int]


@dataclass(slots=True)
class Collected:
    """What a collection did: what became of the events, to when the source is read, whether all that was due
    is done, and the time of which events may be lost."""

    ingested: IngestReport = field(default_factory=IngestReport)
    until: int | None = None
    finished: bool = False
    lost: Span | None = None


def collect(
    meter: Meter,
    source: Source,
    server: PrefectServer,
    done: Collected,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
) -> None:
    """Do the pass that is due, or go on with one that was cut short, and note it in `done`; once `stop` says
    so, the rest is left for the next time. Raises PrefectError; what was read before is kept, and so is the
    progress."""
    assert source.reading is not None and source.server is not None, "only sources that are asked are read"
    now = meter.now()
    until = latest(now, server.ask_time(now))
    reading, forgotten = begin(source.reading, until, source.server.retention_us)
    done.until, done.lost = until, _joined(source.lost, forgotten)
    if forgotten is not None and forgotten != source.lost:
        _warn(source, forgotten)
    _save(meter, source, reading, done.lost)
    for reached in _steps(meter, source, server, reading, done.ingested):
        _save(meter, source, reached, done.lost)
        progress(done.ingested.received, None)
        if reached.under_way is not None and stop():
            return
    done.finished = True


def _steps(
    meter: Meter, source: Source, server: PrefectServer, reading: Reading, report: IngestReport
) -> Iterator[Reading]:
    """How far the reading is after each page, whose events are durable by then."""
    size_us = SLICE_US
    while reading.under_way is not None:
        part = reading.under_way.slice(size_us)
        try:
            for page in server.events(part.start, part.end):
                keep(meter, source, page.events, report)
                reading = advance(reading, page.read_to)
                yield reading
                if reading.under_way is None:
                    return
        except TooSlow:
            if size_us <= SMALLEST_SLICE_US:
                raise
            size_us = max(size_us // 6, SMALLEST_SLICE_US)


def read_again(
    meter: Meter, source: Source, server: PrefectServer, spans: list[Span], report: IngestReport
) -> None:
    """Keep what occurred in some spans, beside the passes. Raises PrefectError."""
    for span in spans:
        for page in server.events(span.start, span.end):
            keep(meter, source, page.events, report)


def keep(meter: Meter, source: Source, events: list[Any], report: IngestReport) -> None:
    """Keep and count events; each that is rejected is told, for its run may be missing."""
    decoded = _decoded(events, source, meter.now())
    report.add(decoded, meter.store.append(decoded.events, meter.now()))
    for each in decoded.rejected:
        event = events[each.index]
        named = event.get("id") if isinstance(event, dict) else None
        log.error(
            "event rejected", source=source.id, account=source.account, event_id=named, message=each.message
        )


def _decoded(events: list[Any], source: Source, now: int) -> Decoded:
    admission = Admission(now=now, default_account=source.account)
    decoded = Decoded(received=len(events))
    for index, each in enumerate(events):
        try:
            event = _event(each, source, admission)
        except FieldError as refused:
            decoded.reject(Rejection(index, refused.field, refused.message))
            continue
        if event is None:
            decoded.ignored += 1
        else:
            decoded.events.append(event)
    return decoded


def _event(given: Any, source: Source, admission: Admission) -> TaskRunEvent | None:
    event = read_prefect(given, admission)
    assert source.server is not None
    workspace = source.server.workspace
    return event if event is None or not workspace else replace(event, workspace=workspace)


def _joined(before: Span | None, now: Span | None) -> Span | None:
    if before is None or now is None:
        return before or now
    return Span(min(before.start, now.start), max(before.end, now.end))


def _warn(source: Source, lost: Span) -> None:
    log.error(
        "events may be lost: the source was not read for longer than it keeps them",
        source=source.id,
        account=source.account,
        lost_from=format_instant(lost.start),
        lost_to=format_instant(lost.end),
    )


def _save(meter: Meter, source: Source, reading: Reading, lost: Span | None) -> None:
    with writing(meter.engine) as connection:
        state.save_reading(connection, source, reading, lost)
