"""A long stream is read by another process as it would be here."""

from __future__ import annotations

import io
import json
import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from metering.event import TaskRunEvent
from metering.ingestion import IngestReport
from metering.pieces import Task, read_pieces
from metering.sources import UndecodableBody
from metering.store.sql import SqlEventStore
from metering.streams import PIECE_BYTES, ingest_stream
from tests.metering.wire import NOW, native

# Of each piece the second event is broken, and the last goes on.
PIECES = [
    b"".join(
        json.dumps(native(task_run_id=f"{number}-{place}", **change)).encode() + b"\n"
        for place, change in enumerate(({}, {"ended_at": "never"}, {"state": "FAILED"}, {"state": "RUNNING"}))
    )
    for number in range(8)
]


def _read(pieces: list[bytes], short: int) -> tuple[list[TaskRunEvent], list[tuple[int, str]], int]:
    events: list[TaskRunEvent] = []
    rejected, ignored = [], 0
    task: Any = Task("task-run", "ndjson", None, list)
    for piece in read_pieces(task, pieces, lambda: NOW, short):
        assert piece.decoded.events == []
        events += piece.prepared or []
        rejected += [(each.index, each.field) for each in piece.decoded.rejected]
        ignored += piece.decoded.ignored
    return events, rejected, ignored


def test_another_process_reads_what_is_read_here() -> None:
    here = _read(PIECES, len(PIECES))
    assert [event.task_run_id for event in here[0]] == [f"{n}-{place}" for n in range(8) for place in (0, 2)]
    assert here[1:] == ([(4 * number + 1, "ended_at") for number in range(8)], 8)
    assert _read(PIECES, 1) == here
    assert _read([PIECES[0], b"\n \n", *PIECES[1:]], 1) == here


def test_if_it_dies_the_rest_is_read_here() -> None:
    task: Any = Task("task-run", "ndjson", None, list)
    read = read_pieces(task, PIECES, lambda: NOW, 1)
    first = [next(read), next(read)]
    (child,) = multiprocessing.active_children()
    child.kill()
    events = [event for piece in [*first, *read] for event in piece.prepared]
    assert events == _read(PIECES, len(PIECES))[0]


def test_what_cannot_be_read_at_all_is_told_by_the_other_process_too() -> None:
    task: Any = Task("prefect", "ndjson", None, list)
    with pytest.raises(UndecodableBody, match="carry no account"):
        list(read_pieces(task, PIECES, lambda: NOW, 0))


def test_what_was_read_ahead_of_the_break_counts() -> None:
    def cut() -> Iterator[bytes]:
        yield from PIECES[:6]
        raise UndecodableBody("the file was cut short")

    task: Any = Task("task-run", "ndjson", None, list)
    read = []
    with pytest.raises(UndecodableBody, match="cut short"):
        read.extend(read_pieces(task, cut(), lambda: NOW, 1))
    assert len(read) == 6


def test_a_long_file_is_kept_and_counted(engine: sa.Engine) -> None:
    """Long enough for a process of its own, with ids of both kinds, and everything twice."""
    ids = [f"0192d3a4-5b6c-7d8e-9f00-{number:012x}" for number in range(100)]
    ids += [f"run-{number}-" + "x" * 100 for number in range(5 * PIECE_BYTES // 400)]
    lines = [json.dumps(native(task_run_id=each)).encode() + b"\n" for each in ids]
    store = SqlEventStore(engine)
    for accepted in (len(ids), 0):
        report = IngestReport()
        ingest_stream(store, io.BytesIO(b"".join(lines)), report, clock=lambda: NOW)
        assert (report.received, report.accepted, report.duplicate) == (
            len(ids),
            accepted,
            len(ids) - accepted,
        )
    usage = store.usage("acme", NOW - NOW % 3_600_000_000 - 720 * 3_600_000_000, NOW - NOW % 3_600_000_000)
    assert usage.counts.billable == len(ids)
