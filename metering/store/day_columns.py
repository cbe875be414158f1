"""The task runs of many accounts by day and outcome, in columns: counted from the runs themselves, whatever
the counters say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from metering.outcome import Outcome
from metering.period import DAY_US, day_of
from metering.store.buckets import buckets_between
from metering.store.question import Question
from metering.store.revised import revised_runs

Integers = NDArray[np.int64]

# How account, day and outcome share a number: 2**19 days are some 1,400 years.
_OUTCOME_BITS, _DAY_BITS = 3, 19
assert max(Outcome) < 1 << _OUTCOME_BITS
# Runs of SQLite that are objects at once.
_ROWS = 100_000
# Numbers of several readings that are held before they are added up.
_HELD = 1_000_000


class CountedDays(NamedTuple):
    """How many runs (`quantity`, never 0) there are of each account, day and outcome (`code`, ascending)."""

    code: Integers
    quantity: Integers

    @classmethod
    def summed(cls, parts: Iterable[tuple[Any, Any]]) -> CountedDays:
        """Of several lists of codes and quantities, which may be of the same and below 0."""
        lists = list(parts)
        codes = np.concatenate([np.zeros(0, np.int64), *(np.asarray(code, np.int64) for code, _ in lists)])
        quantities = np.concatenate(
            [np.zeros(0, np.int64), *(np.asarray(each, np.int64) for _, each in lists)]
        )
        if not len(codes):
            return cls(codes, quantities)
        order = np.argsort(codes, kind="stable")  # quick where they are in order already
        codes = codes[order]
        first = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        sums = np.add.reduceat(quantities[order], first)
        return cls(codes[first][sums != 0], sums[sums != 0])

    def without(self, other: CountedDays) -> CountedDays:
        """What is more here than there, or less."""
        return self.summed([self, (other.code, -other.quantity)])

    def of_accounts(self, account_ids: Sequence[int]) -> CountedDays:
        mine = np.isin(account_of(self.code), np.asarray(account_ids, np.int64))
        return CountedDays(self.code[mine], self.quantity[mine])

    def rows(self) -> Iterator[tuple[int, date, int, int]]:
        """Account, day, outcome, quantity."""
        for code, quantity in zip(self.code.tolist(), self.quantity.tolist(), strict=True):
            day = code >> _OUTCOME_BITS & (1 << _DAY_BITS) - 1
            outcome = code & (1 << _OUTCOME_BITS) - 1
            yield account_of(code), day_of(day * DAY_US), outcome, quantity


def code_of(account_id: Any, ended_at: Any, outcome: Any) -> Any:
    """Of one run, or of columns of them."""
    return (account_id << _DAY_BITS + _OUTCOME_BITS) + (ended_at // DAY_US << _OUTCOME_BITS) + outcome


def account_of(code: Any) -> Any:
    return code >> _DAY_BITS + _OUTCOME_BITS


def counted_days(connection: sa.Connection, account_ids: Sequence[int], asked: Question) -> CountedDays:
    """The runs of some accounts that end in a period, as of a cutoff. Reads those of the accounts with
    numbers between theirs, too. What is held meanwhile is by days, not by runs, but for runs that were
    revised."""
    buckets = buckets_between(connection, asked.start, asked.end)
    given = (min(account_ids), max(account_ids), asked.cutoff, asked.start, asked.end)
    raw: Any = connection.connection.driver_connection
    postgres = connection.dialect.name == "postgresql"
    parts = _of_postgres(raw, buckets, given) if postgres else _of_sqlite(raw, buckets, given)
    found, held = [CountedDays.summed(())], 0
    for part in parts:
        found.append(part)
        held += len(part.code)
        if held > _HELD:
            found = [CountedDays.summed(found)]
            held = 0
    revised = [
        code_of(account_id, run.ended_at, int(run.outcome))
        for account_id, runs in revised_runs(connection, account_ids, *asked).items()
        for run in runs
    ]
    found.append(CountedDays(np.array(revised, np.int64), np.ones(len(revised), np.int64)))
    return CountedDays.summed(found).of_accounts(account_ids)


_WHERE = (
    "account_id BETWEEN {0} AND {0} AND revised = 0 AND position <= {0}"
    " AND ended_at >= {0} AND ended_at < {0}"
)


def _of_sqlite(raw: Any, buckets: Sequence[int], given: Sequence[int]) -> Iterator[CountedDays]:
    """Goes through the buckets in their order. To group a million runs takes it longer than to send them."""
    code = (
        f"(account_id << {_DAY_BITS + _OUTCOME_BITS}) + ((ended_at / {DAY_US}) << {_OUTCOME_BITS}) + outcome"
    )
    rows = raw.cursor().execute(
        f"SELECT {code} FROM json_each(?) AS b CROSS JOIN task_runs AS t ON t.bucket = b.value"  # noqa: S608
        f" WHERE {_WHERE.format('?')}",
        (json.dumps(list(buckets)), *given),
    )
    while some := rows.fetchmany(_ROWS):
        codes = np.fromiter((code for (code,) in some), np.int64, len(some))
        yield CountedDays(*np.unique(codes, return_counts=True))


def _of_postgres(raw: Any, buckets: Sequence[int], given: Sequence[int]) -> Iterator[CountedDays]:
    """One answer: the bytes of all numbers, behind one another."""
    code = (
        f"(account_id::bigint << {_DAY_BITS + _OUTCOME_BITS})"
        f" + ((ended_at / {DAY_US}) << {_OUTCOME_BITS}) + outcome"
    )
    cursor = raw.cursor(binary=True)
    # Planned each time: a plan that is kept reckons with a few buckets.
    cursor.execute(
        "SELECT string_agg(int8send(code) || int8send(quantity), '')"  # noqa: S608 - of our own names
        f" FROM (SELECT {code} AS code, count(*) AS quantity FROM task_runs"
        f" WHERE bucket = ANY(%s::int[]) AND {_WHERE.format('%s')} GROUP BY 1) counted",
        (list(buckets), *given),
        prepare=False,
    )
    numbers = np.frombuffer(cursor.fetchone()[0] or b"", ">i8").reshape(-1, 2).astype(np.int64)
    yield CountedDays(numbers[:, 0], numbers[:, 1])
