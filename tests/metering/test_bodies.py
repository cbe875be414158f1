"""Bodies of requests are read by another process as they would be here."""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
from typing import Any

import pytest

from metering.bodies import MAX_DECOMPRESSED_BYTES, MAX_EVENTS, SMALL_BYTES, Asked, Read, Readers, read_body
from metering.sources import Admission, BodyTooLarge, UndecodableBody
from metering.sources.admission import NAMED
from tests.metering.wire import NOW, native

ADMISSION = Admission(NOW, None, None, None)
LINES = [
    json.dumps(native(task_run_id=f"run-{number}", **change)).encode()
    for number in range(200)
    for change in ({}, {"ended_at": "never"}, {"state": "RUNNING"})
]
LARGE = b"\n".join(LINES)


def _asked(**change: Any) -> Asked:
    return Asked("task-run", "ndjson", zipped=False, admission=ADMISSION, prepare=list)._replace(**change)


def _read(*bodies: tuple[Asked, bytes], many: int = 1, processes: int = 1) -> list[Any]:
    """What is read of each; each waits until processes that it brought in are there."""

    async def read_all() -> list[Any]:
        readers = Readers(processes, many)
        answers: list[Any] = []
        for asked, body in bodies:
            try:
                answers.append(await readers.read(asked, body))
            except (UndecodableBody, BodyTooLarge) as error:
                answers.append(f"{type(error).__name__}: {error}")
            await readers.started()
        await readers.close()
        assert not multiprocessing.active_children()
        return answers

    return asyncio.run(read_all())


def _here_and_there(asked: Asked, body: bytes) -> tuple[Any, Any]:
    return tuple(_read((asked, body), (asked, body)))  # type: ignore[return-value]


def test_another_process_reads_what_is_read_here() -> None:
    here, there = _here_and_there(_asked(), LARGE)
    assert isinstance(here, Read) and isinstance(there, Read)
    assert here.prepared is None and there.decoded.events == []
    assert there.prepared == here.decoded.events
    assert (here.quantity, here.decoded.ignored, here.decoded.refused) == (200, 200, 200)
    assert len(here.decoded.rejected) == NAMED
    assert there.quantity == 200
    assert there._replace(prepared=None, decoded=here.decoded) == here
    assert there.decoded.rejected == here.decoded.rejected


def test_what_cannot_be_read_is_said_by_either() -> None:
    for asked, body in (
        (_asked(framing="json"), b"[" + LARGE),
        (_asked(zipped=True), gzip.compress(b" " * (MAX_DECOMPRESSED_BYTES + 1))),
        (_asked(zipped=True), LARGE),
    ):
        here, there = _here_and_there(asked, body)
        assert isinstance(here, str)
        assert here == there


def test_small_bodies_and_few_large_ones_need_no_process() -> None:
    small = LINES[0]
    assert len(small) < SMALL_BYTES < len(LARGE)
    assert all(read.prepared is None for read in _read(*[(_asked(), small)] * 5))
    assert all(read.prepared is None for read in _read(*[(_asked(), LARGE)] * 3, many=4))
    assert all(read.prepared is None for read in _read(*[(_asked(), LARGE)] * 3, processes=0))


def test_a_process_that_is_killed_is_not_missed() -> None:
    async def read() -> tuple[Read, Read, Read]:
        readers = Readers(1, 1)
        first = await readers.read(_asked(), LARGE)
        await readers.started()
        there = await readers.read(_asked(), LARGE)
        for process in multiprocessing.active_children():
            process.kill()
        after = await readers.read(_asked(), LARGE)
        await readers.close()
        return first, there, after

    first, there, after = asyncio.run(read())
    assert there.prepared is not None
    assert after == first


@pytest.mark.parametrize("bodies", [0, 1])
def test_it_can_be_closed_at_any_time(bodies: int) -> None:
    async def read() -> None:
        readers = Readers(1, 1)
        for _ in range(bodies):
            await readers.read(_asked(), LARGE)
        await readers.close()
        assert not multiprocessing.active_children()

    asyncio.run(read())


def test_a_small_body_of_millions_of_broken_events_is_refused() -> None:
    """Compressed it is a few kilobytes; each event of it would take as long as one that counts."""
    lines = b"{}\n" * (MAX_EVENTS + 1)
    with pytest.raises(BodyTooLarge, match="more than 250,000 events; send it in smaller batches"):
        read_body(_asked(zipped=True), gzip.compress(lines))
    with pytest.raises(BodyTooLarge, match="more than 250,000 events"):
        read_body(_asked(framing="json"), b"[" + b"{}," * (20 * MAX_EVENTS) + b"{}]")
    few = read_body(_asked(), b"{}\n" * 1000)
    assert (few.decoded.refused, len(few.decoded.rejected)) == (1000, NAMED)
