"""Billable runs by workspace and flow, as of a cutoff, where events are in ClickHouse."""

from __future__ import annotations

from collections import Counter

from metering.outcome import Outcome
from metering.store.clickhouse import queries
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.corrected import Corrections
from metering.store.clickhouse.journal import Seen


def names_as_of(
    connection: Connection, corrections: Corrections, seen: Seen, account: str, start: int, end: int
) -> dict[tuple[str, str], int]:
    """See `EventStore.names_as_of`."""
    found: Counter[tuple[str, str]] = Counter()
    for workspace, flow, quantity in connection.rows(
        queries.names(seen), account=account, start=start, end=end
    ):
        found[workspace, flow] = quantity
    for moved in corrections.moved(seen, [account]):
        for run, one in moved.within(start, end):
            found[run.workspace, run.flow] += one * (run.outcome is Outcome.BILLABLE)
    return {name: quantity for name, quantity in found.items() if quantity}
