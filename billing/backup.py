"""A backup of an installation on SQLite, taken while it is served: one consistent file."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from billing.errors import Refused


@dataclass(frozen=True, slots=True)
class BackedUp:
    path: Path
    bytes: int

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {"path": str(self.path), "bytes": self.bytes}


def back_up(engine: sa.Engine, to: Path) -> BackedUp:
    """Copy the database into a new file that only its owner may read: it holds what signs links and
    webhooks. The copy is of one instant; writers go on meanwhile. Under its name there is a whole, checked
    backup on the disk, or nothing. Raises Refused on another engine, and where the file is there or cannot
    be written."""
    if engine.dialect.name != "sqlite":
        raise Refused(
            "this installation is on PostgreSQL, whose own pg_dump backs it up: pg_dump -Fc -f"
            f" {to} (docs/operations.md)"
        )
    if to.exists():
        raise Refused(f"{to} is there already; a backup is written to a new file")
    partial = to.with_name(f"{to.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(engine, partial)
        _to_disk(partial)
        partial.rename(to)
        _to_disk(to.parent)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise Refused(f"{to} could not be written: {error}") from None
    return BackedUp(to, to.stat().st_size)


def _copy(engine: sa.Engine, to: Path) -> None:
    with engine.connect() as connection:
        source: Any = connection.connection.driver_connection
        copy = sqlite3.connect(to)
        try:
            source.backup(copy)  # all pages in one step: a snapshot, which holds up no writer
            # A log beside it would have to be moved with it.
            copy.execute("PRAGMA journal_mode=DELETE")
            (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            copy.close()
    if said != "ok" and not (_SEES_NULLS and said.startswith("NULL value in ")):
        raise sqlite3.DatabaseError(f"the copy is damaged, and so may be the database: {said}")


# These versions of SQLite take columns of tables without row ids for NULL that are not; what is really wrong
# with the file they say before.
_SEES_NULLS = (3, 40, 0) <= sqlite3.sqlite_version_info <= (3, 41, 0)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
