"""Links of operators, and the sessions that they open: only digests of secrets are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from billing.operator_tables import operator_sessions as table


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """A link made for `name`, and the session that it opened at `opened_at` (None: not yet), which lasts to
    `expires_at` unless somebody ended it before. `author` made the link."""

    id: str
    name: str
    role: str
    author: str
    made_at: int
    link_expires_at: int
    opened_at: int | None = None
    expires_at: int | None = None
    ended_at: int | None = None

    @property
    def acts_as(self) -> str:
        """Who acts in it, as it is recorded with what they change."""
        return f"operator {self.name}"


def add(connection: sa.Connection, made: OperatorSession, link_sha256: str) -> None:
    connection.execute(table.insert().values(asdict(made) | {"link_sha256": link_sha256}))


def of_link(connection: sa.Connection, link_sha256: str) -> OperatorSession | None:
    return _one(connection, table.c.link_sha256 == link_sha256)


def of_session(connection: sa.Connection, session_sha256: str) -> OperatorSession | None:
    return _one(connection, table.c.session_sha256 == session_sha256)


def open_(
    connection: sa.Connection, id: str, session_sha256: str, now: int, expires_at: int
) -> OperatorSession | None:
    """The link opens its session: of any number who try at once, one. None for the others."""
    done = connection.execute(
        table.update()
        .where(
            table.c.id == id,
            table.c.opened_at.is_(None),
            table.c.ended_at.is_(None),
            table.c.link_expires_at > now,
        )
        .values(opened_at=now, session_sha256=session_sha256, expires_at=expires_at)
    )
    return _one(connection, table.c.id == id) if done.rowcount else None


def search(
    connection: sa.Connection, now: int, *, every: bool, limit: int | None = None
) -> list[OperatorSession]:
    """The newest first; those that can still be used, or all there ever were."""
    query = sa.select(table).order_by(table.c.id.desc())
    if not every:
        until = sa.func.coalesce(table.c.expires_at, table.c.link_expires_at)
        query = query.where(table.c.ended_at.is_(None), until > now)
    rows = connection.execute(query.limit(limit))
    return [_session(row) for row in rows]


def end(connection: sa.Connection, id: str, now: int) -> bool:
    """False if there is none of this id; one that was ended already keeps its time."""
    mine = table.update().where(table.c.id == id)
    return bool(connection.execute(mine.values(ended_at=sa.func.coalesce(table.c.ended_at, now))).rowcount)


def _one(connection: sa.Connection, which: sa.ColumnElement[bool]) -> OperatorSession | None:
    row = connection.execute(sa.select(table).where(which)).one_or_none()
    return None if row is None else _session(row)


def _session(row: sa.Row[Any]) -> OperatorSession:
    return OperatorSession(**{name: row._mapping[name] for name in OperatorSession.__dataclass_fields__})
