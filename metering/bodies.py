"""The bodies of requests, decoded and prepared for the store: here, or in processes of their own once large
ones come beside one another, since that is half of the work, and Python computes on one processor at a time.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

from metering.airflow_files import instances
from metering.event import TaskRunEvent
from metering.processes import helpers, interrupts_held_back
from metering.sources import Admission, Decoded, Format, Framing, decode, detect, gunzip

_log = logging.getLogger("metering.bodies")

MAX_DECOMPRESSED_BYTES = 64 << 20
# More do not fit anyway, unless they are no events: to say so of each would keep the others waiting.
MAX_EVENTS = 250_000
# To send a body to another process and its events back costs as much as a few dozen events.
SMALL_BYTES = 32 << 10
# From about two thousand events on, decoding here would keep other requests waiting.
_IN_A_THREAD_FROM_BYTES = 512 << 10
# Processes start, which takes a second, when so many large bodies came within one.
MANY = 10
# Each holds some 70 MB. One decodes as fast as two services can write.
PROCESSES = 1


class Asked(NamedTuple):
    """How a body is read. Without a framing the body itself tells. `prepare` is `EventStore.prepare`."""

    format: Format
    framing: Framing | None
    zipped: bool
    admission: Admission
    prepare: Callable[[Sequence[TaskRunEvent]], Any]


class Read(NamedTuple):
    """A body that was read. If another process did it, `decoded` has no events: they are in `prepared`, so
    many as `quantity`."""

    decoded: Decoded
    quantity: int
    prepared: Any = None


def read_body(asked: Asked, body: bytes) -> Read:
    """Every event of a body. Raises UndecodableBody, BodyTooLarge."""
    if asked.zipped:
        body = gunzip(body, MAX_DECOMPRESSED_BYTES)
    framing = asked.framing
    if asked.format == "airflow":
        body, framing = b"".join(instances(io.BytesIO(body))), "ndjson"
    if framing is None:
        framing = detect(body).framing
    decoded = decode(body, format=asked.format, framing=framing, admission=asked.admission, most=MAX_EVENTS)
    return Read(decoded, len(decoded.events))


def _read_there(asked: Asked, body: bytes) -> Read:
    read = read_body(asked, body)
    prepared = asked.prepare(read.decoded.events) if read.quantity else None
    return Read(replace(read.decoded, events=[]), read.quantity, prepared)


class Readers:
    """Who reads the bodies of a service. Used by one event loop. `many` is how many large bodies within a
    second bring in other processes; where there shall be none, `processes` is 0."""

    def __init__(self, processes: int = PROCESSES, many: int = MANY) -> None:
        self._processes = processes if (os.cpu_count() or 1) > 1 else 0
        self._lately: deque[float] = deque(maxlen=many)
        self._pool: Executor | None = None
        self._starting: asyncio.Future[Executor] | None = None
        self._opened = ExitStack()

    async def read(self, asked: Asked, body: bytes) -> Read:
        """`read_body`, by whoever has time. Raises UndecodableBody, BodyTooLarge."""
        if len(body) <= SMALL_BYTES and not asked.zipped:
            return read_body(asked, body)
        loop = asyncio.get_running_loop()
        if self._pool is not None:
            try:
                return await loop.run_in_executor(self._pool, _read_there, asked, body)
            except BrokenProcessPool as error:  # killed, for example for its memory: we read ourselves
                if self._starting is not None:
                    _log.warning("a process that reads events died: %r", error)
                self._pool = self._starting = None  # another one starts when many come again
                self._lately.clear()
        elif self._processes and self._starting is None and self._many_come(loop.time()):
            self._starting = loop.run_in_executor(None, self._start)
            self._starting.add_done_callback(self._started)
        if asked.zipped or len(body) > _IN_A_THREAD_FROM_BYTES:
            return await loop.run_in_executor(None, read_body, asked, body)
        return read_body(asked, body)

    def _many_come(self, now: float) -> bool:
        self._lately.append(now)
        return len(self._lately) == self._lately.maxlen and now - self._lately[0] < 1

    def _start(self) -> Executor:
        pool = self._opened.enter_context(helpers(self._processes, _nothing_to_prepare))
        with interrupts_held_back():
            begun = [pool.submit(_nothing_to_prepare) for _ in range(self._processes)]
        for each in begun:
            each.result()
        return pool

    def _started(self, starting: asyncio.Future[Executor]) -> None:
        if starting.cancelled():
            return
        if error := starting.exception():
            _log.warning("no process could be started to read events: %r", error)
            return
        self._pool = starting.result()

    async def started(self) -> None:
        """Wait for processes that are being started, if any are."""
        if self._starting is not None:
            await asyncio.wait([self._starting])

    async def close(self) -> None:
        """End the processes."""
        await self.started()
        self._pool = None
        with ThreadPoolExecutor(1) as thread:
            await asyncio.get_running_loop().run_in_executor(thread, self._opened.close)


def _nothing_to_prepare() -> None:
    pass
