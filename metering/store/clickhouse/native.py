"""Reads ClickHouse's Native format into columns: no row is made of what numpy can add up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from metering.store.clickhouse.errors import EventsUnavailable

_TYPES: dict[str, np.dtype[Any]] = {
    "UInt8": np.dtype("u1"),
    "UInt32": np.dtype("<u4"),
    "Int64": np.dtype("<i8"),
    "UInt64": np.dtype("<u8"),
    "FixedString(16)": np.dtype("V16"),
}


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Columns(NamedTuple):
    """A block of an answer, by the names of its columns."""

    rows: int
    by_name: dict[str, NDArray[Any]]


def read_blocks(stream: Stream) -> Iterator[Columns]:
    """The blocks of an answer that has columns of fixed width only. Raises EventsUnavailable where it breaks
    off or turns into something else, as an answer does whose query failed half-way."""
    reader = _Reader(stream)
    while (columns := reader.number(at_end=True)) is not None:
        rows = reader.number() or 0
        found = {}
        for _ in range(columns):
            name = reader.text()
            kind = _TYPES.get(reader.text())
            if kind is None:
                raise _broken()
            found[name] = np.frombuffer(reader.bytes(rows * kind.itemsize), dtype=kind)
        if rows:
            yield Columns(rows, found)


class _Reader:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def bytes(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted:
            part = self._stream.read(wanted)
            if not part:
                raise _broken()
            parts.append(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def number(self, *, at_end: bool = False) -> int | None:
        """LEB128; None if the answer may end here, and does."""
        value = shift = 0
        while True:
            byte = self._stream.read(1)
            if not byte:
                if at_end and not shift:
                    return None
                raise _broken()
            value |= (byte[0] & 127) << shift
            shift += 7
            if byte[0] < 128:
                return value
            if shift > 56:
                raise _broken()

    def text(self) -> str:
        size = self.number() or 0
        if size > 200:
            raise _broken()
        return self.bytes(size).decode("utf-8", "replace")


def _broken() -> EventsUnavailable:
    return EventsUnavailable("ClickHouse broke off in the middle of an answer; try again")
