"""The leases of scheduled jobs, and what each last finished."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billing.repository.due import has_come
from billing.tables import jobs
from metering.database import insert_into


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that is ours for a while. `done_through` is what it last finished, in words of its own."""

    name: str
    done_through: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """What a job last finished, in words of its own, and when."""

    done_through: str | None
    finished_at: int | None


def take(connection: sa.Connection, name: str, holder: str, now: int, until: int) -> Lease | None:
    """Take a job, unless another holder's lease still runs."""
    connection.execute(
        insert_into(connection, jobs).values(name=name, lease_until=0).on_conflict_do_nothing()
    )
    over = has_come(jobs.c.lease_until, now, until - now)
    taken = connection.execute(
        jobs.update()
        .where(jobs.c.name == name, sa.or_(over, jobs.c.holder == holder))
        .values(holder=holder, lease_until=until)
    )
    return Lease(name, done_through(connection, name)) if taken.rowcount else None


def release(connection: sa.Connection, name: str, holder: str) -> None:
    connection.execute(
        jobs.update().where(jobs.c.name == name, jobs.c.holder == holder).values(holder=None, lease_until=0)
    )


def finish(connection: sa.Connection, name: str, through: str, now: int) -> None:
    connection.execute(jobs.update().where(jobs.c.name == name).values(done_through=through, finished_at=now))


def every(connection: sa.Connection) -> dict[str, Job]:
    """The jobs that were ever taken, by name."""
    rows = connection.execute(sa.select(jobs))
    return {row.name: Job(row.done_through, row.finished_at) for row in rows}


def done_through(connection: sa.Connection, name: str) -> str | None:
    """What a job last finished; None if it never did."""
    return connection.scalar(sa.select(jobs.c.done_through).where(jobs.c.name == name))
