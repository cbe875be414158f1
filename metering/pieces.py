"""The pieces of a long stream, decoded and prepared for the store: here, or in a process of its own once the
stream turns out to be long, since that is half of the work."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from metering.event import TaskRunEvent
from metering.processes import helpers, interrupts_held_back
from metering.sources import Admission, Decoded, Format, Framing, UndecodableBody, decode

# Pieces that are read here before a process is started: it takes half a second.
SHORT = 4
# Pieces that wait for their turn.
AHEAD = 3


class Task(NamedTuple):
    """How each piece is read. `prepare` is `EventStore.prepare`."""

    format: Format
    framing: Framing
    account: str | None
    prepare: Callable[[Sequence[TaskRunEvent]], Any]


class Piece(NamedTuple):
    """What became of a piece. Its events are in `prepared` (None without any) and no longer in `decoded`."""

    decoded: Decoded
    prepared: Any


def read_pieces(
    task: Task, pieces: Iterable[bytes], clock: Callable[[], int], short: int = SHORT
) -> Iterator[Piece]:
    """Every piece in its order; rejections name an event's place in the whole stream. Raises
    UndecodableBody."""
    upcoming = iter(pieces)
    received = 0
    for read in _read(task, upcoming, clock, short):
        shifted = [replace(each, index=each.index + received) for each in read.decoded.rejected]
        received += read.decoded.received
        read.decoded.rejected[:] = shifted
        yield read


def _read(task: Task, upcoming: Iterator[bytes], clock: Callable[[], int], short: int) -> Iterator[Piece]:
    for number, piece in enumerate(islice(upcoming, short)):
        if number == 0 or not piece.isspace():
            yield read_piece(task, piece, clock(), begins=number == 0)
    if os.cpu_count() == 1:
        yield from (read_piece(task, piece, clock()) for piece in upcoming if not piece.isspace())
        return
    following = next(upcoming, None)
    if following is not None:
        yield from _read_there(task, _and_then(following, upcoming), clock)


def _and_then(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _read_there(task: Task, upcoming: Iterator[bytes], clock: Callable[[], int]) -> Iterator[Piece]:
    with helpers(1, _nothing_to_prepare) as pool:
        waiting: deque[tuple[bytes, Future[Piece] | None]] = deque()
        broken: list[UndecodableBody] = []

        def submit(quantity: int) -> None:
            try:
                for piece in islice((each for each in upcoming if not each.isspace()), quantity):
                    waiting.append((piece, _submitted(pool, task, piece, clock())))
            except UndecodableBody as error:  # the stream ends here; what came before it counts
                broken.append(error)

        with interrupts_held_back():
            submit(AHEAD)
        while waiting:
            piece, reading = waiting.popleft()
            read = _result(reading) or read_piece(task, piece, clock())
            submit(0 if broken else 1)
            yield read
        if broken:
            raise broken[0]


def _submitted(pool: Executor, task: Task, piece: bytes, now: int) -> Future[Piece] | None:
    try:
        return pool.submit(read_piece, task, piece, now)
    except BrokenProcessPool:
        return None


def _result(reading: Future[Piece] | None) -> Piece | None:
    """None if the process died before it had read the piece."""
    try:
        return None if reading is None else reading.result()
    except BrokenProcessPool:
        return None


def _nothing_to_prepare() -> None:
    pass


def read_piece(task: Task, piece: bytes, now: int, *, begins: bool = False) -> Piece:
    """A piece by itself: rejections name an event's place in it."""
    decoded = decode(
        piece,
        format=task.format,
        framing=task.framing,
        admission=Admission(now=now, default_account=task.account),
        first_index=0 if begins else 1,
    )
    if not begins:
        decoded.rejected[:] = [replace(each, index=each.index - 1) for each in decoded.rejected]
    prepared = task.prepare(decoded.events) if decoded.events else None
    return Piece(replace(decoded, events=[]), prepared)
