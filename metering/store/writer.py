"""Brings events into the store on SQLite and PostgreSQL, one transaction a batch."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import closing

import sqlalchemy as sa

from metering.database import writing
from metering.store import Correction, Noting, Verdict, run_key
from metering.store.apart import Apart
from metering.store.append import Append, Appended
from metering.store.batch import Batch, Columns, batch_of, marks
from metering.store.correcting import Corrected, Correcting
from metering.store.names import NOTHING, Known, Label, Names, Place
from metering.store.postgres_driver import Overtaken, PostgresDriver
from metering.store.sqlite_driver import SqliteDriver


class Writer:
    """Any number of threads may append. The columns are of one event at least."""

    def __init__(self, engine: sa.Engine, names: Names) -> None:
        self._engine = engine
        self._names = names
        # SQLite has one writer at a time: those of this process wait here, and not by asking again and again.
        self._turn = threading.Lock()
        self._apart = Apart()
        # Months and buckets that are noted; forgetting costs only a statement.
        self._buckets: set[tuple[int, int]] = set()

    def append(self, columns: Columns, now: int) -> list[bool]:
        known = self._names.known().places
        numbers = [known.get(place) for place in columns.places]
        missing = {place for place, number in zip(columns.places, numbers, strict=True) if number is None}
        if self._engine.dialect.name == "postgresql":
            learned = self._learn(missing)
            batch = batch_of(columns, _numbers(columns.places, numbers, learned))
            label_of = functools.partial(self._label, learned)
            with self._apart.from_others(marks(batch)):
                try:
                    done = self._append(batch, label_of, now)
                except Overtaken:  # by another process
                    done = self._append(batch, label_of, now, copies=False)
        else:
            # What can be made before the database is ours is made before.
            made = None if missing else batch_of(columns, _numbers(columns.places, numbers, NOTHING))
            with (
                self._turn,
                writing(self._engine) as connection,
                closing(SqliteDriver(connection)) as driver,
            ):
                learned = self._names.learn(missing, driver) if missing else NOTHING
                batch = made or batch_of(columns, _numbers(columns.places, numbers, learned))
                label_of = functools.partial(self._label, learned)
                done = Append(driver, label_of, batch, self._buckets).run(now)
        self._names.remember(learned)
        # Noted for good, now that it is committed.
        self._buckets |= done.buckets
        return done.accepted

    def _append(
        self, batch: Batch, label_of: Callable[[int], Label], now: int, *, copies: bool = True
    ) -> Appended:
        with writing(self._engine) as connection:
            driver = PostgresDriver(connection, copies=copies)
            return Append(driver, label_of, batch, self._buckets).run(now)

    def correct(
        self, account_id: int, keys: Sequence[bytes], asked: Correction, now: int, noting: Noting | None
    ) -> dict[bytes, Verdict]:
        """What became of each run of an account, by its key."""
        labels = self._names.labels_of(account_id)

        def label_of(number: int) -> Label:
            return labels.get(number) or self._names.label(number)

        if self._engine.dialect.name == "postgresql":
            with writing(self._engine) as connection:
                correcting = Correcting(PostgresDriver(connection), label_of, account_id)
                return _noted(correcting.run(keys, asked, now), connection, noting)
        with self._turn, writing(self._engine) as connection, closing(SqliteDriver(connection)) as driver:
            return _noted(Correcting(driver, label_of, account_id).run(keys, asked, now), connection, noting)

    def _learn(self, missing: set[Place]) -> Known:
        """Names go first on PostgreSQL, in a transaction of their own: writers then never wait for another's
        names while they hold the locks of runs and counters. A name without events is harmless. So it does
        not wait for the disk: the commit of the events does, and brings there what was committed before it.
        Until then the names are not remembered, for PostgreSQL may lose them."""
        if not missing:
            return NOTHING
        with writing(self._engine) as connection:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            return self._names.learn(missing, PostgresDriver(connection))

    def _label(self, learned: Known, number: int) -> Label:
        return learned.labels.get(number) or self._names.label(number)


def _noted(done: Corrected, connection: sa.Connection, noting: Noting | None) -> dict[bytes, Verdict]:
    if noting is not None and done.position is not None:
        noting(connection, done.position, [run_key.decode(key) for key in done.keys])
    return done.verdicts


def _numbers(
    places: Sequence[Place], known: Sequence[tuple[int, int] | None], learned: Known
) -> list[tuple[int, int]]:
    """The numbers of each place: those that were known, and else those that were learned."""
    return [number or learned.places[place] for place, number in zip(places, known, strict=True)]
