"""Counts the stored task runs again, and compares the counters with what they come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from metering.database import UNREADABLE, is_no_text, reading, reading_anything
from metering.period import DAY_US, FIRST_INSTANT, HOUR_US, LAST_INSTANT, Month, day_of
from metering.store import EventStore
from metering.store.buckets import buckets_between, month_number, month_numbered
from metering.store.changes import CHANGED_MONTHS, counted
from metering.store.tables import accounts, corrections, revisions, run_buckets, task_runs, usage_months

# Accounts whose month is held at once.
_AT_ONCE = 10_000
# How often a month is counted that changes meanwhile.
_ATTEMPTS = 5

UNITS = ("hour", "day", "month")

# Of a unit's counters the runs of each day (or of the month: None) by outcome.
_Counted = Counter[tuple[str | None, int]]


class Miscount(NamedTuple):
    """Counters of an account's month that are not what its task runs come to: those of hours, days or
    months. Or its task runs cannot be counted, and why: something of them is not what is written there."""

    account: str
    month: Month
    units: tuple[str, ...] = ()
    unreadable: Exception | None = None


class Stray(NamedTuple):
    """An account's number that some tables have, and `meter_accounts` does not."""

    number: int
    tables: tuple[str, ...]


def unnamed_buckets(engine: sa.Engine) -> int:
    """How many buckets hold task runs and are not in `run_buckets`: nobody finds those runs."""
    named = sa.select(run_buckets.c.bucket)
    held = sa.union(
        *(sa.select(each.c.bucket).where(each.c.bucket.not_in(named)) for each in (task_runs, revisions))
    )
    with reading(engine) as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(held.subquery())) or 0


def strays(engine: sa.Engine) -> Iterator[Stray]:
    """What is there of accounts that are not: nobody finds it. Reads all of it."""
    found: dict[int, list[str]] = defaultdict(list)
    tables = {each.name: each.name for each in (task_runs, revisions, corrections)}
    tables |= {f"usage_{unit}s": counted(engine.dialect.name, unit) for unit in UNITS}
    with reading(engine) as connection:
        for name, table in tables.items():
            query = sa.text(
                f"SELECT DISTINCT t.account_id FROM {table} t "  # noqa: S608 - of our own names
                f"WHERE t.account_id NOT IN (SELECT id FROM {accounts.name})"
            )
            for number in connection.scalars(query):
                found[number].append(name)
    for number in sorted(found, key=str):
        yield Stray(number, tuple(found[number]))


def no_months(engine: sa.Engine) -> list[int]:
    """The numbers that stand for a month in counters or buckets, and that no month has."""
    with reading(engine) as connection:
        return [each for each in _months(connection) if not _is_month(each)]


def _is_month(number: int) -> bool:
    return month_number(FIRST_INSTANT) <= number <= month_number(LAST_INSTANT)


def miscounts(engine: sa.Engine, store: EventStore) -> Iterator[Miscount]:
    """Of every account and month that has task runs, or counters. What is counted meanwhile is none."""
    with reading_anything(engine) as connection:
        query = sa.select(accounts.c.id, accounts.c.account).order_by(accounts.c.id)
        names = {row.id: row.account for row in connection.execute(query)}
        months = [each for each in _months(connection) if _is_month(each)]
    ids = list(names)
    for month in map(month_numbered, months):
        for at in range(0, len(ids), _AT_ONCE):
            some = {each: names[each] for each in ids[at : at + _AT_ONCE]}
            for account_id in list(_differing(engine, store, some, month)):
                found = _still_differing(engine, store, account_id, names[account_id], month)
                if found is not None:
                    yield found


def _months(connection: sa.Connection) -> list[int]:
    query = sa.union(sa.select(usage_months.c.month), sa.select(run_buckets.c.month))
    found = set(connection.scalars(query))
    if connection.dialect.name == "postgresql":
        found |= {each for each in connection.execute(sa.text(CHANGED_MONTHS)).one() if each is not None}
    return sorted(found)


def _still_differing(
    engine: sa.Engine, store: EventStore, account_id: int, name: str, month: Month
) -> Miscount | None:
    """However often it is looked at: a run may come in between, but not each time."""
    found = None
    for _ in range(_ATTEMPTS):
        found = _differing(engine, store, {account_id: name}, month).get(account_id)
        if found is None:
            break
    return found


def _differing(
    engine: sa.Engine, store: EventStore, names: Mapping[int, str], month: Month
) -> dict[int, Miscount]:
    runs: dict[int, _Counted] = {account_id: Counter() for account_id in names}
    first, last = min(names), max(names)
    cutoff = store.cutoff().position
    found: dict[int, Miscount] = {}
    for account_id in _present(engine, month, first, last):
        if account_id not in names:
            continue  # it is a stray
        try:
            # Not by `month_usages`, which asks the counters what there is.
            for run in store.runs(names[account_id], month.start, month.end, cutoff):
                runs[account_id][day_of(run.ended_at).isoformat(), int(run.outcome)] += 1
        except UNREADABLE as error:
            found[account_id] = Miscount(names[account_id], month, unreadable=error)
        except sa.exc.DBAPIError as error:
            if not is_no_text(error):
                raise
            found[account_id] = Miscount(names[account_id], month, unreadable=error)
    with reading(engine) as connection:
        held = {unit: _held(connection, unit, month, first, last) for unit in UNITS}
    for account_id in names.keys() - found.keys():
        of_days = runs[account_id]
        of_month: _Counted = Counter()
        for (_, said), quantity in of_days.items():
            of_month[None, said] += quantity
        units = tuple(
            unit
            for unit in UNITS
            if held[unit].get(account_id, Counter()) != (of_month if unit == "month" else of_days)
        )
        if units:
            found[account_id] = Miscount(names[account_id], month, units)
    return {account_id: found[account_id] for account_id in sorted(found)}


def _present(engine: sa.Engine, month: Month, first: int, last: int) -> list[int]:
    """The numbers of accounts that have runs where those of the month lie."""
    found: set[int] = set()
    with reading(engine) as connection:
        for bucket in buckets_between(connection, month.start, month.end):
            within = task_runs.c.bucket == bucket, task_runs.c.account_id.between(first, last)
            found.update(connection.scalars(sa.select(task_runs.c.account_id).where(*within).distinct()))
    return sorted(found)


_PER_DAY = {"hour": f"u.hour / {DAY_US // HOUR_US}", "day": "u.day", "month": "u.month"}


def _held(connection: sa.Connection, unit: str, month: Month, first: int, last: int) -> dict[int, _Counted]:
    """What the counters say, of accounts whose numbers are between two."""
    width = {"hour": HOUR_US, "day": DAY_US}.get(unit)
    start = month_number(month.start) if width is None else month.start // width
    end = start + 1 if width is None else month.end // width
    query = sa.text(
        f"SELECT u.account_id, {_PER_DAY[unit]}, u.outcome, sum(u.quantity) "  # noqa: S608 - of our own names
        f"FROM {counted(connection.dialect.name, unit)} u "
        f"WHERE u.{unit} >= :start AND u.{unit} < :end AND u.account_id BETWEEN :first AND :last "
        "GROUP BY 1, 2, 3"
    )
    asked = {"start": start, "end": end, "first": first, "last": last}
    found: dict[int, _Counted] = defaultdict(Counter)
    for account_id, day, outcome, quantity in connection.execute(query, asked):
        if quantity:
            place = None if width is None else day_of(day * DAY_US).isoformat()
            found[account_id][place, outcome] = int(quantity)
    return found
