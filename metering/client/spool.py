"""Events on disk, until the service has them. One folder for any number of processes: each appends to files
of its own, and takes over those of processes that are gone.

A file (a *segment*) is a batch: a line an event, written and synced before `append` returns, closed when it
is taken to be sent, and removed when the service has all of it. A process that is killed in between leaves it
whole; sent again, its events count once. A last line that is cut short belongs to a call that never returned.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from metering.client import claim
from metering.client.claim import Claim
from metering.client.errors import SpoolError, SpoolFull

SEGMENT_BYTES = 512 << 10
SEGMENT_EVENTS = 1000
_SUFFIX = ".ndjson"
# Events that the service rejected, each with its reason; not sent again.
REJECTED = "rejected.jsonl"
_REJECTED_BYTES = 16 << 20


class Spool:
    """Safe for threads. Holds up to `limit_bytes`, with what other processes left in the folder. Raises
    SpoolError where the folder cannot be used."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self._limit = limit_bytes
        self._turn = threading.Lock()
        # What follows is read and written with `_turn` held.
        self._sealed: deque[Path] = deque()
        self._open: _Segment | None = None
        self._number = 0
        self._bytes = 0
        with _told(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own = Claim.new(folder)
            self._bytes = sum(map(_size, folder.glob(f"*{_SUFFIX}")))
        self._inherited: dict[str, Claim] = {}

    @property
    def size(self) -> int:
        """Bytes that wait here; what other processes do is seen with some delay."""
        return self._bytes

    def append(self, lines: Sequence[bytes]) -> None:
        """Keep lines; they are on disk when this returns. Raises SpoolFull, where none was kept, and
        SpoolError, where some may have been: given again, they count once."""
        with self._turn, _told(self.folder):
            size = sum(map(len, lines))
            if self._bytes + size > self._limit:
                self._bytes = sum(map(_size, self.folder.glob(f"*{_SUFFIX}")))  # others may have sent theirs
            if self._bytes + size > self._limit:
                raise SpoolFull(
                    f"the spool {self.folder} is full ({self._bytes} of {self._limit} bytes); see "
                    "the log for why the service does not take events, or raise limit_bytes"
                )
            for part in _parts(lines):
                self._write(part)

    def _write(self, part: list[bytes]) -> None:
        data = b"".join(part)
        if self._open is not None and not self._open.takes(len(part), len(data)):
            self._seal()
        if self._open is None:
            self._number += 1
            self._open = _Segment(self.folder / f"{self._own.name}.{self._number:08d}{_SUFFIX}")
        try:
            self._open.write(data, len(part))
        except OSError:
            self._seal()  # what it holds of this part is not promised to anybody
            raise
        self._bytes += len(data)

    def _seal(self) -> None:
        assert self._open is not None
        self._open.close()
        self._sealed.append(self._open.path)
        self._open = None

    def next(self) -> Path | None:
        """The next segment to send, which nothing is added to any more; None where nothing waits."""
        with self._turn, _told(self.folder):
            if not self._sealed and self._open is not None:
                self._seal()
            if not self._sealed:
                self._inherit()
            return self._sealed[0] if self._sealed else None

    def _inherit(self) -> None:
        """Take over what processes left that are gone."""
        waiting = {path.name.partition(".")[0] for path in self.folder.glob(f"*{_SUFFIX}")}
        for name in sorted((claim.names(self.folder) | waiting) - {self._own.name}):
            held = self._inherited.pop(name, None) or Claim.of_the_dead(self.folder, name)
            if held is None:
                continue
            # Looked at again: what was there before we held the lock may have been sent since.
            left = sorted(self.folder.glob(f"{name}.*{_SUFFIX}"))
            if left:
                self._inherited[name] = held
                self._sealed += left
            else:
                held.remove()

    def read(self, segment: Path) -> list[bytes]:
        """Its whole lines. Raises SpoolError."""
        with _told(self.folder):
            data = segment.read_bytes()
        return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)

    def remove(self, segment: Path) -> None:
        """The service has it."""
        with self._turn, _told(self.folder):
            self._bytes = max(0, self._bytes - _size(segment))
            segment.unlink(missing_ok=True)
            with contextlib.suppress(ValueError):
                self._sealed.remove(segment)

    def keep_rejected(self, line: bytes) -> bool:
        """Note what the service rejected; False if there is no room for it."""
        path = self.folder / REJECTED
        with self._turn, _told(self.folder):
            if _size(path) + len(line) > _REJECTED_BYTES:
                return False
            with path.open("ab") as file:
                file.write(line)
            return True

    def close(self) -> None:
        """Leave what waits to the next one that uses the folder."""
        with self._turn:
            if self._open is not None:
                self._seal()
            mine = any(path.name.startswith(f"{self._own.name}.") for path in self._sealed)
            self._own.release() if mine else self._own.remove()
            for held in self._inherited.values():
                held.release()
            self._inherited.clear()

    def disown(self) -> None:
        """In a forked process: these files are its parent's, whose locks must not live on here."""
        for held in (self._own, *self._inherited.values()):
            held.release()


class _Segment:
    """A file that is being appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._events = 0
        self._bytes = 0
        _sync_folder(path.parent)

    def takes(self, events: int, size: int) -> bool:
        return self._events + events <= SEGMENT_EVENTS and self._bytes + size <= SEGMENT_BYTES

    def write(self, data: bytes, events: int) -> None:
        """On disk when it returns; as it was before where it raises, if that can be."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._bytes)
            raise
        self._events += events
        self._bytes += len(data)

    def close(self) -> None:
        os.close(self._file)


def _parts(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """In pieces that fit a segment; a line that is longer alone."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and (len(part) == SEGMENT_EVENTS or size + len(line) > SEGMENT_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpoolError(
            f"the spool {folder} cannot be used: {reason}; mend that, or choose another"
        ) from error
