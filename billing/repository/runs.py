"""Billing runs: which month, for whom, and as of which cutoff."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billing.tables import billing_runs
from metering.period import Month


@dataclass(frozen=True, slots=True)
class BillingRun:
    """A run of a month: of one account, or (None) of all. `report` is JSON text once it has finished."""

    id: str
    month: Month
    account: str | None
    early: bool
    cutoff: int
    cutoff_at: int | None
    started_at: int
    finished_at: int | None = None
    report: str | None = None


def start_or_resume(connection: sa.Connection, fresh: BillingRun) -> BillingRun:
    """The unfinished run of the same month and account if there is one, with the cutoff it began with;
    otherwise `fresh` is stored. Early runs make drafts only, and always begin anew."""
    if connection.dialect.name == "postgresql":
        # Runs that start at the same time agree on one; on SQLite the write lock sees to it.
        connection.execute(sa.text("LOCK TABLE billing_runs IN SHARE ROW EXCLUSIVE MODE"))
    if not fresh.early:
        query = sa.select(billing_runs).where(
            billing_runs.c.month == str(fresh.month),
            billing_runs.c.account_id.is_(None)
            if fresh.account is None
            else billing_runs.c.account_id == fresh.account,
            billing_runs.c.early.is_(False),
            billing_runs.c.finished_at.is_(None),
        )
        row = connection.execute(query.order_by(billing_runs.c.id).limit(1)).one_or_none()
        if row is not None:
            return _run(row)
    connection.execute(
        billing_runs.insert().values(
            id=fresh.id,
            month=str(fresh.month),
            account_id=fresh.account,
            early=fresh.early,
            cutoff=fresh.cutoff,
            cutoff_at=fresh.cutoff_at,
            started_at=fresh.started_at,
        )
    )
    return fresh


def finish(connection: sa.Connection, run_id: str, now: int, report: str) -> None:
    """The first to finish a run says when; the last report stays."""
    connection.execute(
        billing_runs.update()
        .where(billing_runs.c.id == run_id)
        .values(finished_at=sa.func.coalesce(billing_runs.c.finished_at, now), report=report)
    )


def get(connection: sa.Connection, run_id: str) -> BillingRun | None:
    row = connection.execute(sa.select(billing_runs).where(billing_runs.c.id == run_id)).one_or_none()
    return _run(row) if row is not None else None


def _run(row: sa.Row[tuple[object, ...]]) -> BillingRun:
    return BillingRun(
        row.id,
        Month.parse(row.month),
        row.account_id,
        row.early,
        row.cutoff,
        row.cutoff_at,
        row.started_at,
        row.finished_at,
        row.report,
    )
