"""When keys were used last: noted in memory with each request, and written once a minute for all keys
together. So no request waits for it; a service that is killed forgets a minute at most."""

from __future__ import annotations

import logging
import threading

import sqlalchemy as sa

from billing.access import keep_last_use

_log = logging.getLogger("billing.api")

_EVERY_SECONDS = 60.0


class KeyUse:
    """Started and stopped with the application."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._at: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, key_id: str, now: int) -> None:
        self._at[key_id] = now

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="key-use", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """What is noted is written."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.write()

    def write(self) -> None:
        """Write what was noted since the last time; what cannot be written now is lost, and nothing else."""
        at, self._at = self._at, {}
        if not at:
            return
        try:
            keep_last_use(self._engine, at)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("when keys were used last is not kept: %s", type(error).__name__)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self.write()
