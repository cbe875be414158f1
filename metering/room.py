"""Whether there is room on the disk of a database, after a write failed for want of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import sqlalchemy as sa

# More than most transactions take.
_TRIED_BYTES = 1 << 20


class Room:
    """Of one engine: `wanting` from the first write that found none, until one that is tried finds some."""

    def __init__(self) -> None:
        self.wanting = False


def room_of(engine: sa.Engine | sa.Connection) -> Room | None:
    room: Room | None = engine.get_execution_options().get("room")
    return room


def has_room(engine: sa.Engine) -> bool:
    """Where a write failed, tries one of a megabyte, which leaves nothing. Raises what the database raises
    for another reason."""
    room = room_of(engine)
    if room is None or not room.wanting:
        return True
    room.wanting = not _try(engine)
    return not room.wanting


def _try(engine: sa.Engine) -> bool:
    if engine.dialect.name == "postgresql":
        try:
            with engine.connect() as connection:  # and rolls back
                connection.exec_driver_sql(
                    "CREATE TEMPORARY TABLE room AS SELECT repeat(md5(n::text), 32)"
                    " FROM generate_series(1, 1024) AS n"
                )
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "53100":
                return False
            raise
        return True
    # Beside the file, where its log is: what SQLite rolls back, it mostly never wrote.
    folder = Path(engine.url.database or "").absolute().parent
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            # A short count says that there was no room for the rest.
            return file.write(bytes(_TRIED_BYTES)) == _TRIED_BYTES
    except OSError:
        return False
