"""Whether the runs of all accounts are the same in ClickHouse as in the SQL database they came from: counted
from what is said of them on either side, for many accounts at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from metering.database import reading
from metering.period import DAY_US
from metering.store.clickhouse import queries
from metering.store.clickhouse.block import NUMBERED_STRUCTURE, numbered_block
from metering.store.clickhouse.connection import GIVEN, Connection
from metering.store.clickhouse.corrected import Corrections
from metering.store.clickhouse.errors import CopyDiffers
from metering.store.clickhouse.journal import Journal
from metering.store.day_columns import CountedDays, code_of, counted_days
from metering.store.month_totals import MonthTotals
from metering.store.question import Question
from metering.store.tables import accounts

# Later than anything ends.
_END = 1 << 55
# What is compared at once: about so many runs, or one account; and so many accounts. Some ten megabytes.
PART = 250_000
_ACCOUNTS = 10_000


class Compared(NamedTuple):
    accounts: int
    runs: int


def compare(engine: sa.Engine, clickhouse: Connection, cutoff: int, *, part: int = PART) -> Compared:
    """All accounts by day and outcome, as of a cutoff. Raises CopyDiffers, which names the first account of
    some that lie together, and its first day."""
    quantity = runs = 0
    # Both sides count at the same time.
    with ThreadPoolExecutor(1) as beside:
        for some in _parts(engine, part):
            there = beside.submit(counted_there, engine, clickhouse, some, cutoff)
            here = counted_here(engine, some, cutoff)
            differing = here.without(there.result())
            if len(differing.code):
                account, day = min((some[number], day) for number, day, *_ in differing.rows())
                raise CopyDiffers(
                    f"the copy differs from the database: account {account}, {day:%Y-%m-%d}; events are kept"
                    " in the database as before; please report it"
                )
            quantity += len(some)
            runs += int(here.quantity.sum())
    return Compared(quantity, runs)


def counted_here(engine: sa.Engine, names: Mapping[int, str], cutoff: int) -> CountedDays:
    """What the SQL database has of accounts (their names by their numbers), which lie together."""
    with reading(engine) as connection:
        return counted_days(connection, list(names), Question(0, _END, cutoff))


def counted_there(
    engine: sa.Engine, clickhouse: Connection, names: Mapping[int, str], cutoff: int
) -> CountedDays:
    """What ClickHouse has of them, with the corrections, which the SQL database has."""
    journal = Journal(engine)
    seen = journal.seen(cutoff)
    numbers = {name: number for number, name in names.items()}
    given = NUMBERED_STRUCTURE, numbered_block(list(numbers), list(numbers.values()))
    counted = [CountedDays.summed(())]
    for block in clickhouse.columns(queries.days_in_columns(seen, GIVEN), given=given, start=0, end=_END):
        column = block.by_name
        days = column["day"] * DAY_US
        counted.append(CountedDays(code_of(column["number"], days, column["outcome"]), column["quantity"]))
    moved = [
        (code_of(numbers[each.account], run.ended_at, int(run.outcome)), one)
        for each in Corrections(engine, clickhouse, journal).moved(seen, list(numbers))
        for run, one in each.within(0, _END)
    ]
    counted.append(CountedDays(*np.array(moved, np.int64).reshape(-1, 2).T))
    return CountedDays.summed(counted)


def _parts(engine: sa.Engine, part: int) -> Iterator[dict[int, str]]:
    """All accounts, in the order of their numbers, by which their runs lie together. The counters only tell
    how many of them are much."""
    with reading(engine) as connection:
        query = sa.select(accounts.c.id, accounts.c.account).order_by(accounts.c.id)
        names = {row.id: row.account for row in connection.execute(query)}
        totals = MonthTotals(connection).runs(list(names), 0, _END)
    some: dict[int, str] = {}
    held = 0
    for number, name in names.items():
        runs = totals.get(number, 0)
        if some and (held + runs > part or len(some) == _ACCOUNTS):
            yield some
            some, held = {}, 0
        some[number] = name
        held += runs
    if some:
        yield some
