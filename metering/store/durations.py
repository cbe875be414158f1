"""How long runs took, and which would count at another threshold, on SQLite and PostgreSQL: runs of which one
event is known are counted by the database; the others, which are few, are judged here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from metering.durations import COMPLETIONS, DurationsAsked, RunDurations, Tally, counts_from
from metering.outcome import Outcome
from metering.period import DAY_US, day_of
from metering.store.buckets import buckets_between, in_numbers
from metering.store.corrections import of_accounts
from metering.store.question import EVERY_COMMIT
from metering.store.revised import accounts_revised, revised_statements
from metering.store.run_key import NO_TIME
from metering.store.tables import accounts, task_runs

# Buckets that one query asks for.
_BUCKETS = 96


def run_durations(
    connection: sa.Connection, asked: DurationsAsked, account_ids: Sequence[int] | None = None
) -> dict[str, RunDurations]:
    """See `EventStore.run_durations`."""
    tallies: dict[int, Tally] = defaultdict(lambda: Tally(asked))
    table = task_runs.c
    ladder = [(table.duration_us <= _number(edge), _number(place)) for place, edge in enumerate(asked.edges)]
    band = sa.case(*ladder, else_=_number(len(ladder))) if ladder else _number(0)
    keys = (table.account_id, table.outcome, band.label("band"))
    query = sa.select(*keys, sa.func.count()).group_by(*keys)
    rows = _plain(connection, query, asked.start, asked.end, account_ids)
    for account_id, outcome, place, quantity in rows:
        tallies[account_id].add_plain(Outcome(outcome), place, quantity)
    for account_id, said, action in _revised(connection, account_ids):
        tallies[account_id].add(said, action)
    found = {number: figures for number, tally in tallies.items() if (figures := tally.figures()) is not None}
    names = _names(connection, found)
    return {names[number]: figures for number, figures in found.items()}


def days_at(
    connection: sa.Connection, account_ids: Sequence[int], start: int, end: int, threshold_us: int
) -> dict[int, dict[date, int]]:
    """See `EventStore.days_at`; accounts by their numbers."""
    found: dict[int, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    table = task_runs.c
    day = (table.ended_at // _number(DAY_US)).label("day")
    query = sa.select(table.account_id, day, sa.func.count()).group_by(table.account_id, day)
    query = query.where(table.duration_us > threshold_us)
    for account_id, number, quantity in _plain(connection, query, start, end, account_ids):
        found[account_id][day_of(number * DAY_US)] += quantity
    for account_id, said, action in _revised(connection, account_ids):
        at = counts_from(said, action, threshold_us)
        if at is not None and start <= at < end:
            found[account_id][day_of(at)] += 1
    return {account_id: {day: days[day] for day in sorted(days)} for account_id, days in found.items()}


def _plain(
    connection: sa.Connection,
    query: sa.Select[Any],
    start: int,
    end: int,
    account_ids: Sequence[int] | None,
) -> Iterator[Any]:
    """The rows of a question about runs of which one event is known, some buckets at a time."""
    table = task_runs.c
    query = query.where(
        table.revised == 0,
        table.ended_at >= start,
        table.ended_at < end,
        table.outcome.in_([int(each) for each in COMPLETIONS]),
    )
    if account_ids is not None:
        query = query.where(table.account_id.in_(account_ids))
    buckets = buckets_between(connection, start, end)
    timed = [each for each in buckets if each != NO_TIME]
    parts = [timed[at : at + _BUCKETS] for at in range(0, len(timed), _BUCKETS)]
    for part in [*([[NO_TIME]] if NO_TIME in buckets else []), *parts]:
        yield from connection.execute(query.where(in_numbers(connection, table.bucket, part)))


def _revised(connection: sa.Connection, account_ids: Sequence[int] | None) -> Iterator[tuple[int, Any, Any]]:
    """Account, statements and correction of each run of which more is known than one event."""
    some = accounts_revised(connection)
    if account_ids is not None:
        some = sorted(set(some) & set(account_ids))
    actions = of_accounts(connection, some, EVERY_COMMIT)
    for (account_id, key), said in revised_statements(connection, some, EVERY_COMMIT).items():
        yield account_id, said, actions.get((account_id, key))


def _number(value: int) -> sa.ColumnElement[int]:
    """Of our own: in the statement, not beside it."""
    return sa.literal_column(str(int(value)), sa.BigInteger)


def _names(connection: sa.Connection, ids: Mapping[int, Any]) -> dict[int, str]:
    rows = connection.execute(sa.select(accounts.c.id, accounts.c.account)) if ids else ()
    return {number: name for number, name in rows if number in ids}
