"""All SQL of halves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from metering.database import insert_into
from metering.pairing.half import STARTED, Half
from metering.pairing.tables import run_halves

# Rows a statement: SQLite takes 32,766 parameters.
_ROWS = 1000
_COLUMNS = [run_halves.c[field.name] for field in msgspec.structs.fields(Half)]

RunId = tuple[str, str]
"""Account and task run."""
HalfKey = tuple[str, str, int]
"""Account, task run and fingerprint."""


class Waiting(NamedTuple):
    """Halves of an account that wait for another: so many starts and ends, the oldest of which happened
    then."""

    account: str
    starts: int
    ends: int
    oldest: int


def insert(connection: sa.Connection, halves: Sequence[Half], now: int) -> set[HalfKey]:
    """Keep halves, in the order of their keys: two batches that hold the same wait for one another, and
    cannot deadlock. Answers the keys (account, run, fingerprint) of those that were not held."""
    rows = {(half.account, half.task_run_id, half.fingerprint): half for half in halves}
    ordered = [
        msgspec.structs.asdict(rows[key]) | {"fingerprint": key[2], "kept_at": now, "settled": 0}
        for key in sorted(rows)
    ]
    added: set[HalfKey] = set()
    for part in _parts(ordered):
        query = insert_into(connection, run_halves).values(part).on_conflict_do_nothing()
        returned = query.returning(run_halves.c.account, run_halves.c.task_run_id, run_halves.c.fingerprint)
        added.update((row[0], row[1], row[2]) for row in connection.execute(returned))
    return added


def of_runs(connection: sa.Connection, runs: Iterable[RunId]) -> list[list[Half]]:
    """All halves of each of some runs."""
    found: dict[RunId, list[Half]] = defaultdict(list)
    for account, ids in _by_account(runs):
        for part in _parts(ids):
            query = sa.select(*_COLUMNS).where(
                run_halves.c.account == account, run_halves.c.task_run_id.in_(part)
            )
            for row in connection.execute(query):
                found[row.account, row.task_run_id].append(Half(*row))
    return list(found.values())


def settle(connection: sa.Connection, halves: Sequence[Half]) -> None:
    """These halves, and none that came since, are metered."""
    prints = {half.fingerprint for half in halves}
    for account, ids in _by_account((half.account, half.task_run_id) for half in halves):
        for part in _parts(ids):
            is_one = run_halves.c.account == account, run_halves.c.task_run_id.in_(part)
            query = sa.select(run_halves.c.task_run_id, run_halves.c.fingerprint).where(
                *is_one, run_halves.c.settled == 0
            )
            for row in connection.execute(query.order_by(*run_halves.primary_key)).all():
                if row.fingerprint in prints:
                    connection.execute(
                        run_halves.update()
                        .where(
                            run_halves.c.account == account,
                            run_halves.c.task_run_id == row.task_run_id,
                            run_halves.c.fingerprint == row.fingerprint,
                        )
                        .values(settled=1)
                    )


def left_over(connection: sa.Connection) -> list[RunId]:
    """Runs with a half that waits though it has another, or needs none: a crash may have come between."""
    other = run_halves.alias()
    has_other = (
        sa.select(1)
        .where(
            other.c.account == run_halves.c.account,
            other.c.task_run_id == run_halves.c.task_run_id,
            other.c.fingerprint != run_halves.c.fingerprint,
        )
        .exists()
    )
    query = (
        sa.select(run_halves.c.account, run_halves.c.task_run_id)
        .distinct()
        .where(
            run_halves.c.settled == 0,
            sa.or_(has_other, run_halves.c.state.not_in([STARTED, "COMPLETED"])),
        )
    )
    return [(row.account, row.task_run_id) for row in connection.execute(query)]


def waiting(connection: sa.Connection) -> list[Waiting]:
    """Accounts with halves that wait, in order."""
    is_start = run_halves.c.state == STARTED
    query = (
        sa.select(
            run_halves.c.account,
            sa.func.count().filter(is_start),
            sa.func.count().filter(~is_start),
            sa.func.min(run_halves.c.at),
        )
        .where(run_halves.c.settled == 0)
        .group_by(run_halves.c.account)
        .order_by(run_halves.c.account)
    )
    return [Waiting(*row) for row in connection.execute(query)]


def waiting_halves(connection: sa.Connection, account: str | None, limit: int) -> list[Half]:
    """The oldest first."""
    query = sa.select(*_COLUMNS).where(run_halves.c.settled == 0)
    if account is not None:
        query = query.where(run_halves.c.account == account)
    order = (run_halves.c.at, run_halves.c.account, run_halves.c.task_run_id, run_halves.c.fingerprint)
    return [Half(*row) for row in connection.execute(query.order_by(*order).limit(limit))]


def alone(connection: sa.Connection, started_before: int) -> tuple[int, int]:
    """How many starts before an instant, and how many ends, wait."""
    is_start = run_halves.c.state == STARTED
    query = sa.select(
        sa.func.count().filter(is_start, run_halves.c.at < started_before), sa.func.count().filter(~is_start)
    ).where(run_halves.c.settled == 0)
    starts, ends = connection.execute(query).one()
    return starts, ends


def forget(connection: sa.Connection, kept_before: int) -> list[Waiting]:
    """Drop halves that we got before an instant; answers those among them that still waited, by account."""
    old = run_halves.c.kept_at < kept_before
    is_start = run_halves.c.state == STARTED
    query = (
        sa.select(
            run_halves.c.account,
            sa.func.count().filter(is_start),
            sa.func.count().filter(~is_start),
            sa.func.min(run_halves.c.at),
        )
        .where(old, run_halves.c.settled == 0)
        .group_by(run_halves.c.account)
        .order_by(run_halves.c.account)
    )
    found = [Waiting(*row) for row in connection.execute(query)]
    connection.execute(run_halves.delete().where(old))
    return found


def _by_account(runs: Iterable[RunId]) -> Iterator[tuple[str, list[str]]]:
    ids: dict[str, set[str]] = defaultdict(set)
    for account, run in runs:
        ids[account].add(run)
    for account in sorted(ids):
        yield account, sorted(ids[account])


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
