"""The month of many accounts at once: what `run_list.month_usage` says of each account's runs, in a tenth of
the time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
import sqlalchemy as sa

from metering.database import reading
from metering.outcome import Outcome
from metering.period import DAY_US
from metering.run_columns import DAY_CODE, ID_DIGITS, Billed, Integers, Tally
from metering.run_list import MonthUsage
from metering.store import run_key
from metering.store.month_pages import FIRST, LAST, Page, Pages, PostgresPages, Question, SqlitePages
from metering.store.revised import revised_runs
from metering.store.run_key import UUID_BYTES
from metering.usage import Run

# Accounts a question to the database: it answers account after account.
_PART = 1000


class Months:
    """Reads in one snapshot a part of the accounts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def usages(self, account_ids: Sequence[int], asked: Question) -> Iterator[tuple[int, MonthUsage | None]]:
        """None for an account with ids that are no UUIDs: its runs have to be read one after the other."""
        for start in range(0, len(account_ids), _PART):
            part = account_ids[start : start + _PART]
            with reading(self._engine) as connection:
                postgres = connection.dialect.name == "postgresql"
                pages: Pages = PostgresPages(connection) if postgres else SqlitePages(connection)
                revised = revised_runs(connection, part, *asked)
                bounds = pages.bounds(part)
                small = [each for each in part if each not in bounds]
                for account_id, page in pages.whole(small, asked):
                    yield account_id, _usage([page], revised.get(account_id, ()))
                for account_id, ends in bounds.items():
                    many = _pages(pages, account_id, ends, asked)
                    yield account_id, _usage(many, revised.get(account_id, ()))


def _pages(pages: Pages, account_id: int, ends: Sequence[bytes], asked: Question) -> Iterator[Page]:
    for above, to in zip([FIRST, *ends], [*ends, LAST], strict=True):
        yield pages.page(account_id, above, to, asked)


def _usage(pages: Sequence[Page] | Iterator[Page], revised: Sequence[Run]) -> MonthUsage | None:
    keys = [run_key.encode(run.task_run_id) for run in revised]
    if any(len(key) != UUID_BYTES for key in keys):
        return None
    tally = Tally()
    for page in pages:
        if page.texts:
            return None
        mine = slice(bisect_right(keys, page.above), bisect_right(keys, page.to))
        tally.add_billed(_merged(page.billed, keys[mine], revised[mine]))
        tally.add_others(page.others)
        tally.add_others(_codes(revised[mine]))
    return tally.month_usage()


def _merged(billed: Billed, keys: Sequence[bytes], runs: Sequence[Run]) -> Billed:
    """The billed of some runs put in their places among others."""
    more = [(key.hex(), run) for key, run in zip(keys, runs, strict=True) if run.outcome is Outcome.BILLABLE]
    if not more:
        return billed
    form = f"S{ID_DIGITS}"
    ids = np.concatenate(
        [np.frombuffer(billed.ids, dtype=form), np.array([digits.encode() for digits, _ in more], dtype=form)]
    )
    ended_at = np.concatenate([billed.ended_at, [run.ended_at for _, run in more]])
    duration_us = np.concatenate([billed.duration_us, [run.duration_us for _, run in more]])
    order = np.argsort(ids, kind="stable")  # two ascending stretches: quickly merged
    return Billed(ids[order].tobytes(), ended_at[order], duration_us[order])


def _codes(runs: Sequence[Run]) -> Integers:
    return np.array(
        [
            run.ended_at // DAY_US * DAY_CODE + run.outcome
            for run in runs
            if run.outcome is not Outcome.BILLABLE
        ],
        dtype=np.int64,
    )
