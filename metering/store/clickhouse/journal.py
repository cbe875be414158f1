"""The order of commits, kept in the SQL database for events that are kept in ClickHouse.

An insert takes its position here before it begins, and publishes it here when it is on disk there; only
published positions count. So a batch counts as a whole or not at all, also if its writer died between the
two. Positions are given out, published and closed one after the other, under one lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import sqlalchemy as sa

from metering.database import reading, writing
from metering.store import Cutoff
from metering.store.clickhouse.tables import inserts
from metering.store.tables import COMMIT_LOCK, commits, positions_sequence

# On a cluster one insert at a time has its quorum; the others wait for it here.
_INSERT_LOCK = 0x6D657469  # "meti"

# How often an insert that is under way is looked at before whoever needs a cutoff withdraws it.
_LOOKS = 250


class Withdrawn(RuntimeError):  # noqa: N818 - reads as what happened
    """A cutoff was taken above a position while its insert was under way: it takes another."""


class Seen(NamedTuple):
    """The commits that a question is about: those up to `high`, except `hidden` positions, of which rows may
    lie in ClickHouse that are no commit, or not yet."""

    high: int
    hidden: tuple[int, ...]


class Journal:
    """Works on the SQL database. `pause` lets a moment pass while another process is at work."""

    def __init__(self, engine: sa.Engine, pause: Callable[[], None] = lambda: time.sleep(0.02)) -> None:
        self._engine = engine
        self._pause = pause

    def seen(self, cutoff: int | None = None) -> Seen:
        """What counts now, or counted as of a cutoff."""
        with reading(self._engine) as connection:
            high = cutoff if cutoff is not None else _last(connection).position
            query = sa.select(inserts.c.position).where(inserts.c.position <= high)
            return Seen(high, tuple(sorted(connection.scalars(query))))

    def begin(self) -> int:
        """A position for an insert, higher than any that was given out or published before."""
        with self._alone() as connection:
            position = _next(connection)
            connection.execute(inserts.insert().values(position=position, withdrawn=False))
            return position

    @contextmanager
    def recording(self) -> Iterator[tuple[sa.Connection, int]]:
        """A transaction for what the SQL database keeps itself, and the position that it may take among the
        commits; nothing else takes one, or is published, meanwhile."""
        with self._alone() as connection:
            yield connection, _next(connection)

    @contextmanager
    def publishing(self, position: int, seen: Seen) -> Iterator[Publication]:
        """Decide about a position whose insert is on disk; nothing else is published meanwhile. Raises
        Withdrawn."""
        with self._alone() as connection:
            live = sa.select(inserts.c.position).where(
                inserts.c.position == position, inserts.c.withdrawn == sa.false()
            )
            if connection.scalar(live) is None:
                raise Withdrawn
            since = sa.or_(commits.c.position > seen.high, commits.c.position.in_(seen.hidden))
            found = connection.scalars(sa.select(commits.c.position).where(since))
            yield Publication(connection, position, tuple(sorted(found)))

    def withdraw(self, position: int) -> None:
        """What has this position in ClickHouse, or will yet, never counts."""
        with self._alone() as connection:
            _withdraw(connection, inserts.c.position == position)

    def close(self) -> Cutoff:
        """The last commit, once no position below it can be published any more. Inserts that are under way
        are waited for; those of writers that died, or that take too long, are withdrawn."""
        with reading(self._engine) as connection:
            last = _last(connection)
        for _ in range(_LOOKS):
            if not self._under_way(last.position):
                return last
            self._pause()
        with self._alone() as connection:
            _withdraw(connection, inserts.c.position < last.position)
        return last

    @contextmanager
    def one_insert(self) -> Iterator[None]:
        """No other insert of any process is under way meanwhile."""
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_INSERT_LOCK)))
            yield

    def _under_way(self, below: int) -> bool:
        query = sa.select(inserts.c.position).where(
            inserts.c.position < below, inserts.c.withdrawn == sa.false()
        )
        with reading(self._engine) as connection:
            return connection.scalar(query.limit(1)) is not None

    @contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(COMMIT_LOCK)))
            yield connection


class Publication:
    """The moment in which a position is decided about. `since` are the commits that were published after the
    batch was compared with what was held."""

    def __init__(self, connection: sa.Connection, position: int, since: tuple[int, ...]) -> None:
        self._connection = connection
        self._position = position
        self.since = since

    def commit(self, now: int) -> None:
        """From here on it counts."""
        self._connection.execute(inserts.delete().where(inserts.c.position == self._position))
        self._connection.execute(commits.insert().values(position=self._position, committed_at=now))

    def withdraw(self) -> None:
        """It never will: others brought all of it meanwhile."""
        _withdraw(self._connection, inserts.c.position == self._position)


def _next(connection: sa.Connection) -> int:
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(positions_sequence) or 0)
    highest = [
        connection.scalar(sa.select(sa.func.max(table.c.position))) or 0 for table in (commits, inserts)
    ]
    return max(highest) + 1


def _last(connection: sa.Connection) -> Cutoff:
    row = connection.execute(sa.select(commits).order_by(commits.c.position.desc()).limit(1)).one_or_none()
    return Cutoff(row.position, row.committed_at) if row else Cutoff(0, None)


def _withdraw(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    connection.execute(inserts.update().where(which).values(withdrawn=True))
