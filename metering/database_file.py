"""Whether the file of a SQLite database, and the log beside it (`-wal`), are still those that were opened.
Where one is removed, or another one takes its place, what has it open goes on writing to it, and nobody will
ever read that."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa


class DatabaseReplaced(sa.exc.SQLAlchemyError):
    """The file of the database is not where it was opened any more."""

    def __init__(self, what: str = "file", then: str = "put it back, or start the service again") -> None:
        super().__init__(f"the {what} of the database was removed or replaced while it was in use; {then}")


class LogReplaced(DatabaseReplaced):
    """The log beside the file is not the one that was opened any more. SQLite saves what is in that one when
    the last connection is closed."""

    def __init__(self) -> None:
        super().__init__("log (-wal)", "stop the service in good order, which saves it, and start it again")


Identity = tuple[int, int] | None
"""Device and inode; while it is open, no other file can have the same. None where there is none."""


class _Witness(NamedTuple):
    """A connection, and the log that it has open. While it is open, SQLite leaves that log in its place."""

    connection: sqlite3.Connection
    log: Identity


# Under this name a connection has the log that it has open, in what SQLAlchemy keeps with it.
_LOG = "log"


class DatabaseFile:
    """The file at a path, from the first time it is opened. To look costs a microsecond or two."""

    def __init__(self, path: str) -> None:
        # A process that changes its folder later still means the same file.
        self._path = Path(path).absolute()  # and not resolved: a link that leads elsewhere is noticed
        self._log = self._path
        self._opened: Identity = None
        self._witness: _Witness | None = None

    def connecting(self) -> None:
        """To be said before a connection is made: it would make a log where there is none. Raises
        DatabaseReplaced."""
        self.check()
        if self._witness is None:
            return
        if not _is_open(self._witness.connection):
            self._witness = None
        elif _identity(self._log) != self._witness.log:
            raise LogReplaced

    def opened(self) -> None:
        """To be said whenever it was. Raises DatabaseReplaced where it is another one than before."""
        if self._opened is None:
            self._opened = _identity(self._path)
            # SQLite follows links, and has its log beside what they lead to.
            self._log = Path(f"{self._path.resolve()}-wal")
        self.check()

    def check_log(self, connection: sqlite3.Connection, kept: MutableMapping[Any, Any]) -> None:
        """To be said of a connection that has read or written, once or more; `kept` is what is kept with it.
        Raises LogReplaced."""
        there = _identity(self._log)
        mine = kept.get(_LOG)
        if mine is None:  # the first time; or there is no log, since the file could only be read
            kept[_LOG] = there
            if self._witness is None and there is not None:
                self._witness = _Witness(connection, there)
        elif mine != there:
            raise LogReplaced

    def check(self) -> None:
        """Raises DatabaseReplaced; says nothing of a file that was never opened."""
        if self._opened is not None and _identity(self._path) != self._opened:
            raise DatabaseReplaced

    @property
    def may_be_written(self) -> bool:
        """Whether permissions and mounts let it, with the log beside it."""
        beside = [Path(f"{self._path}{suffix}") for suffix in ("-wal", "-shm")]
        needed = {each if each.exists() else each.parent for each in (self._path, *beside)}
        return all(os.access(each, os.W_OK) for each in needed)


def _identity(path: Path) -> Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False
