"""Figures of a month's runs for whoever looks for signs of misuse; see `metering.store.signs`."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from metering.database import reading
from metering.figures import Asked, RunFigures, SharedRuns, last_commits
from metering.store.clickhouse import queries
from metering.store.clickhouse.connection import GIVEN, Connection
from metering.store.clickhouse.journal import Seen
from metering.store.signs import last_of_day


def run_figures(
    engine: sa.Engine, connection: Connection, seen: Seen, asked: Asked, accounts: Sequence[str] | None
) -> dict[str, RunFigures]:
    """See `EventStore.run_figures`."""
    if accounts is not None and not accounts:
        return {}
    from metering.store.clickhouse.block import ACCOUNT_STRUCTURE, account_block  # with numpy

    with reading(engine) as of_commits:
        commits = last_commits(asked, last_of_day(of_commits))
    query = queries.run_figures(seen, asked, commits, GIVEN if accounts else None)
    given = (ACCOUNT_STRUCTURE, account_block(accounts)) if accounts else None
    rows = connection.rows(query, given=given, start=asked.start, end=asked.end)
    bands = len(asked.edges) + 1
    return {account: RunFigures(tuple(sums[:bands]), *sums[bands:]) for account, *sums in rows}


def shared_runs(connection: Connection, seen: Seen, start: int, end: int) -> list[SharedRuns]:
    """See `EventStore.shared_runs`."""
    rows = connection.rows(queries.shared_runs(seen), start=start, end=end)
    return [SharedRuns(tuple(accounts), runs, billable) for accounts, runs, billable in rows]
