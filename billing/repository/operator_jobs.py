"""Work that goes on behind a page: who started it, how far it is, what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from billing.operator_tables import operator_jobs as table
from billing.repository.due import APART_US
from metering.database import insert_into

CUT_SHORT = "it was cut short, as the service that did it ended; start it again"


@dataclass(frozen=True, slots=True)
class Job:
    """`done` of `total` steps of its `stage`, as of `seen_at`; `total` 0 where that is not known. `report` is
    JSON text, `error` a sentence; both None until it has finished."""

    id: str
    kind: str
    subject: str
    author: str
    started_at: int
    seen_at: int
    stage: str = ""
    done: int = 0
    total: int = 0
    finished_at: int | None = None
    report: str | None = None
    error: str | None = None


def start(connection: sa.Connection, fresh: Job, dead_before: int) -> Job:
    """Begin a job, unless one of its kind and subject is under way: that one is answered then. One that was
    not seen since `dead_before` is over."""
    mine = (table.c.kind == fresh.kind, table.c.subject == fresh.subject, table.c.finished_at.is_(None))
    gone = sa.or_(table.c.seen_at < dead_before, table.c.seen_at > fresh.seen_at + APART_US)
    dead = table.update().where(*mine, gone)
    connection.execute(dead.values(finished_at=table.c.seen_at, error=CUT_SHORT))
    connection.execute(insert_into(connection, table).values(asdict(fresh)).on_conflict_do_nothing())
    return _job(connection.execute(sa.select(table).where(*mine)).one())


def progress(connection: sa.Connection, job_id: str, stage: str, done: int, total: int, now: int) -> None:
    changes = {"stage": stage, "done": done, "total": total, "seen_at": now}
    connection.execute(table.update().where(table.c.id == job_id).values(changes))


def finish(connection: sa.Connection, job_id: str, now: int, report: str | None, error: str | None) -> None:
    mine = table.update().where(table.c.id == job_id)
    connection.execute(mine.values(finished_at=now, seen_at=now, report=report, error=error))


def get(connection: sa.Connection, job_id: str) -> Job | None:
    row = connection.execute(sa.select(table).where(table.c.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def last(connection: sa.Connection, kind: str, subject: str) -> Job | None:
    """The one that was started last."""
    query = sa.select(table).where(table.c.kind == kind, table.c.subject == subject)
    row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _job(row)


def _job(row: sa.Row[Any]) -> Job:
    return Job(**row._mapping)
