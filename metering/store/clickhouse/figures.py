"""Figures of a period's runs: for whoever looks for signs of misuse (`metering.store.signs`), and how many
would count at another threshold (`metering.store.durations`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa

from metering.database import reading
from metering.durations import BillableMonths, DurationsAsked, RunDurations, Tally, counts_from
from metering.figures import Asked, RunFigures, SharedRuns, last_commits
from metering.period import DAY_US, day_of
from metering.store.clickhouse import duration_queries, queries
from metering.store.clickhouse.connection import GIVEN, Connection
from metering.store.clickhouse.corrected import Corrections
from metering.store.clickhouse.journal import Journal, Seen
from metering.store.month_counts import billable_months_of
from metering.store.signs import last_of_day
from metering.usage import Counts


class Figures(ABC):
    """The part of a store that answers them."""

    engine: sa.Engine
    connection: Connection
    _journal: Journal
    _corrections: Corrections

    def run_figures(self, asked: Asked, accounts: Sequence[str] | None = None) -> dict[str, RunFigures]:
        return run_figures(self.engine, self.connection, self._journal.seen(), asked, accounts)

    def shared_runs(self, start: int, end: int) -> list[SharedRuns]:
        return shared_runs(self.connection, self._journal.seen(), start, end)

    @abstractmethod
    def counts_by_account(self, start: int, end: int) -> dict[str, Counts]:
        """See `EventStore.counts_by_account`."""

    def billable_months(self, start: int, end: int) -> BillableMonths:
        return billable_months_of(self, start, end)

    def run_durations(
        self, asked: DurationsAsked, accounts: Sequence[str] | None = None
    ) -> dict[str, RunDurations]:
        if accounts is not None and not accounts:
            return {}
        seen = self._journal.seen()
        query = duration_queries.run_durations(seen, asked, GIVEN if accounts else None)
        rows = self.connection.rows(query, given=_given(accounts), start=asked.start, end=asked.end)
        tallies: dict[str, Tally] = defaultdict(lambda: Tally(asked))
        bands = len(asked.edges) + 1
        for account, *sums in rows:
            tally = tallies[account]
            tally.bands, tally.cached, tally.billable = (
                sums[:bands],
                sums[bands : 2 * bands],
                sums[2 * bands :],
            )
        for account, said, action in self._corrections.judged_anew(seen, accounts):
            tallies[account].add(said, None, -1)
            tallies[account].add(said, action)
        return {
            name: found for name, each in sorted(tallies.items()) if (found := each.figures()) is not None
        }

    def days_at(
        self, accounts: Sequence[str], start: int, end: int, threshold_us: int
    ) -> dict[str, dict[date, int]]:
        found: dict[str, dict[date, int]] = {account: defaultdict(int) for account in accounts}
        if not accounts:
            return {}
        seen = self._journal.seen()
        query = duration_queries.days_at(seen, threshold_us, GIVEN)
        for account, day, quantity in self.connection.rows(
            query, given=_given(accounts), start=start, end=end
        ):
            found[account][day_of(day * DAY_US)] += quantity
        for account, said, action in self._corrections.judged_anew(seen, accounts):
            for of, one in ((None, -1), (action, 1)):
                at = counts_from(said, of, threshold_us)
                if at is not None and start <= at < end:
                    found[account][day_of(at)] += one
        return {
            account: {day: days[day] for day in sorted(days) if days[day]} for account, days in found.items()
        }


def run_figures(
    engine: sa.Engine, connection: Connection, seen: Seen, asked: Asked, accounts: Sequence[str] | None
) -> dict[str, RunFigures]:
    """See `EventStore.run_figures`."""
    if accounts is not None and not accounts:
        return {}
    with reading(engine) as of_commits:
        commits = last_commits(asked, last_of_day(of_commits))
    query = queries.run_figures(seen, asked, commits, GIVEN if accounts else None)
    rows = connection.rows(query, given=_given(accounts), start=asked.start, end=asked.end)
    bands = len(asked.edges) + 1
    return {account: RunFigures(tuple(sums[:bands]), *sums[bands:]) for account, *sums in rows}


def shared_runs(connection: Connection, seen: Seen, start: int, end: int) -> list[SharedRuns]:
    """See `EventStore.shared_runs`."""
    rows = connection.rows(queries.shared_runs(seen), start=start, end=end)
    return [SharedRuns(tuple(accounts), runs, billable) for accounts, runs, billable in rows]


def _given(accounts: Sequence[str] | None) -> tuple[str, bytes] | None:
    if not accounts:
        return None
    from metering.store.clickhouse.block import ACCOUNT_STRUCTURE, account_block  # with numpy

    return ACCOUNT_STRUCTURE, account_block(accounts)
