"""Runs of which more than one event is known, or that the operator corrected: few, and judged here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from metering.outcome import Outcome, Statement, judged
from metering.store import run_key
from metering.store.corrections import of_accounts
from metering.store.tables import corrections, labels, revisions, task_runs
from metering.usage import Run

# Accounts that one query asks for.
_ACCOUNTS = 1000


def revised_runs(
    connection: sa.Connection,
    account_ids: Sequence[int],
    start: int,
    end: int,
    cutoff: int,
    *,
    as_sent: bool = False,
) -> dict[int, list[Run]]:
    """Those of some accounts that end in the period, judged by the events and corrections committed up to
    `cutoff`, each account's ascending by the bytes of its id. Never reads more runs than were ever revised or
    corrected. `as_sent`: by the events alone."""
    said = revised_statements(connection, account_ids, cutoff)
    actions = {} if as_sent else of_accounts(connection, account_ids, cutoff)
    found: dict[int, list[Run]] = defaultdict(list)
    for (account_id, key), statements in said.items():
        best = judged(statements, actions.get((account_id, key)))
        if start <= best.ended_at < end:
            found[account_id].append(
                Run(
                    run_key.decode(key),
                    best.outcome,
                    best.ended_at,
                    best.duration_us,
                    best.workspace,
                    best.flow,
                    best.source,
                )
            )
    for runs in found.values():
        runs.sort(key=lambda run: run.task_run_id.encode())
    return found


def revised_statements(
    connection: sa.Connection, account_ids: Sequence[int], cutoff: int
) -> dict[tuple[int, bytes], list[Statement]]:
    """All that is said of the runs of some accounts of which there is more than one event, or a correction,
    by the events up to a cutoff."""
    said: dict[tuple[int, bytes], list[Statement]] = defaultdict(list)
    for at in range(0, len(account_ids), _ACCOUNTS):
        some = account_ids[at : at + _ACCOUNTS]
        for query in (_first(some, cutoff), _further(some, cutoff)):
            for account_id, key, outcome, *rest in connection.execute(query):
                said[account_id, bytes(key)].append(Statement(Outcome(outcome), *rest))
    return said


def accounts_revised(connection: sa.Connection) -> list[int]:
    """The accounts that have such runs."""
    several = (sa.select(table.c.account_id) for table in (revisions, corrections))
    return sorted(connection.scalars(sa.union(*several)))


def _first(account_ids: Sequence[int], cutoff: int) -> sa.Select[Any]:
    """The first events of the runs that have others, or were corrected."""
    marked = (
        sa.select(table.c.bucket, table.c.account_id, table.c.run_key).where(
            table.c.account_id.in_(account_ids)
        )
        for table in (revisions, corrections)
    )
    revised = sa.union(*marked).subquery()
    same = sa.and_(*(task_runs.c[name] == revised.c[name] for name in ("bucket", "account_id", "run_key")))
    found = revised.join(task_runs, same).join(labels, labels.c.id == task_runs.c.label_id)
    return _columns(task_runs).select_from(found).where(task_runs.c.position <= cutoff)


def _further(account_ids: Sequence[int], cutoff: int) -> sa.Select[Any]:
    query = _columns(revisions).join(labels, labels.c.id == revisions.c.label_id)
    return query.where(revisions.c.account_id.in_(account_ids), revisions.c.position <= cutoff)


def _columns(table: sa.Table) -> sa.Select[Any]:
    """Account, run, and a `Statement`."""
    said = (table.c.outcome, table.c.ended_at, table.c.duration_us)
    named = (labels.c.source, labels.c.flow, labels.c.workspace)
    return sa.select(table.c.account_id, table.c.run_key, *said, *named)
