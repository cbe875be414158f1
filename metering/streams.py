"""Events from a file or a pipe of any length, read, checked and kept in pieces: memory stays flat.

One event a line is read in pieces of whole lines; a JSON document is read whole, since its end decides
whether it is one. Both may be compressed by gzip, which is told from the first bytes.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from metering.ingestion import IngestReport
from metering.pieces import Piece, Task, read_pieces
from metering.sources import Format, UndecodableBody, detect
from metering.store import EventStore

PIECE_BYTES = 4 << 20

_GZIP_MAGIC = b"\x1f\x8b"


def ingest_stream(
    store: EventStore,
    source: BinaryIO,
    report: IngestReport,
    *,
    clock: Callable[[], int],
    format: Format = "auto",
    account: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Keep every event of `source` and count it in `report`. An operator's import: events of any age since
    2000 may come. `account` is that of events which name none; `progress` is told the bytes read so far.

    Raises UndecodableBody; what was read before is kept, and counted in the report.
    """
    pieces = _pieces(_unzipped(io.BufferedReader(_Counting(source, progress), 1 << 20)))
    first = next((piece for piece in pieces if not piece.isspace()), b"")
    known, framing = detect(first)
    if framing == "json":
        rest = b"".join(pieces)
        known, framing = detect(first + rest) if rest else (known, framing)
        pieces = iter([rest] if rest and framing == "ndjson" else [])
        first = first if framing == "ndjson" else first + rest
    task = Task(known if format == "auto" else format, framing, account, store.prepare)
    for piece in read_pieces(task, chain([first], pieces), clock):
        report.add(piece.decoded, _keep(store, piece, clock))
        store.settle(if_much=True)
    store.settle()


def _keep(store: EventStore, piece: Piece, clock: Callable[[], int]) -> list[bool]:
    accepted: list[bool] = []
    if piece.prepared is not None:
        accepted += store.append_prepared([piece.prepared], clock())
    halves = piece.decoded.halves
    for start in range(0, len(halves), store.events_a_commit):
        accepted += store.append_halves(halves[start : start + store.events_a_commit], clock())
    return accepted


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    """The content in pieces that end at line ends. Raises UndecodableBody for gzip data that is broken."""
    try:
        while piece := source.read(PIECE_BYTES):
            yield piece if piece.endswith(b"\n") else piece + source.readline()
    except EOFError:
        raise UndecodableBody("the gzip data ends too early; the file was cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UndecodableBody(f"the gzip data is broken ({error})") from None


def _unzipped(source: io.BufferedReader) -> BinaryIO:
    if source.peek(2)[:2] == _GZIP_MAGIC:
        return io.BufferedReader(gzip.GzipFile(fileobj=source), 1 << 20)
    return source


class _Counting(io.RawIOBase):
    """Passes bytes on and tells how many there were."""

    def __init__(self, source: BinaryIO, progress: Callable[[int], None]) -> None:
        self._source = source
        self._progress = progress
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._done += len(data)
        self._progress(self._done)
        return len(data)
