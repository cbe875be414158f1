"""Where one story after the other is played."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from metering.database import make_engine


class Stage:
    """One SQLite file, put back as it was before each story: what the engines prepared stays prepared.
    `mortal` is another engine on it, of the processes that are killed."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.mortal = make_engine(engine.url.render_as_string(hide_password=False))
        self._file = Path(str(engine.url.database))
        self._empty = self._file.read_bytes()

    def clear(self) -> None:
        for engine in (self.engine, self.mortal):
            engine.dispose()
        for more in ("-wal", "-shm"):
            self._file.with_name(self._file.name + more).unlink(missing_ok=True)
        self._file.write_bytes(self._empty)
