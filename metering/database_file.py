"""Whether the file of a SQLite database is still the one that was opened. Where it is removed, or another one
takes its place, what has it open goes on writing to it, and nobody will ever read that."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa


class DatabaseReplaced(sa.exc.SQLAlchemyError):
    """The file of the database is not where it was opened any more."""

    def __init__(self) -> None:
        super().__init__(
            "the file of the database was removed or replaced while it was in use; "
            "put it back, or start the service again"
        )


class DatabaseFile:
    """The file at a path, from the first time it is opened. To look costs a microsecond or two."""

    def __init__(self, path: str) -> None:
        # A process that changes its folder later still means the same file.
        self._path = Path(path).absolute()  # and not resolved: a link that leads elsewhere is noticed
        self._opened: tuple[int, int] | None = None

    def opened(self) -> None:
        """To be said whenever it was. Raises DatabaseReplaced where it is another one than before."""
        if self._opened is None:
            self._opened = self._there()
        self.check()

    def check(self) -> None:
        """Raises DatabaseReplaced; says nothing of a file that was never opened."""
        if self._opened is not None and self._there() != self._opened:
            raise DatabaseReplaced

    @property
    def may_be_written(self) -> bool:
        """Whether permissions and mounts let it, with the log beside it."""
        beside = [Path(f"{self._path}{suffix}") for suffix in ("-wal", "-shm")]
        needed = {each if each.exists() else each.parent for each in (self._path, *beside)}
        return all(os.access(each, os.W_OK) for each in needed)

    def _there(self) -> tuple[int, int] | None:
        """Device and inode; while it is open, no other file can have the same."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
