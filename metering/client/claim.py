"""Which process may send the events of a spool's part: the one that holds its lock. The lock ends with the
process, however it ends; then another one that shares the folder takes the part over."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

_SUFFIX = ".lock"


class Claim:
    """The right to a part of the spool, by its name; made by `new` and `of_the_dead`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.name = path.name.removesuffix(_SUFFIX)
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def new(cls, folder: Path) -> Self:
        while True:
            path = folder / f"{os.getpid()}-{secrets.token_hex(6)}{_SUFFIX}"
            claim = cls._locked(path, os.O_CREAT | os.O_EXCL)
            if claim is not None:
                return claim

    @classmethod
    def of_the_dead(cls, folder: Path, name: str) -> Self | None:
        """The part of a process that is gone; None while it lives."""
        return cls._locked(folder / f"{name}{_SUFFIX}", os.O_CREAT)

    @classmethod
    def _locked(cls, path: Path, flags: int) -> Self | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed it since we opened it: then we hold the lock of nothing.
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):  # noqa: PTH116
                return cls(path, descriptor)
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    def remove(self) -> None:
        """Nothing is left of this part."""
        self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Leave the part to another."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def names(folder: Path) -> set[str]:
    """The parts that there are locks of."""
    return {path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}")}
