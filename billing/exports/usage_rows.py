"""Usage of a month: a row an account, day, workspace and flow, from the counters. The sums are those of
`billing usage`."""

from __future__ import annotations

from collections.abc import Iterator

from billing.exports.table import Columns, Kind, Row
from metering.outcome import NOT_BILLED
from metering.period import Month, day_of
from metering.store import EventStore

USAGE_COLUMNS: Columns = {
    "account": Kind.TEXT,
    "day": Kind.DAY,
    "workspace": Kind.TEXT,
    "flow": Kind.TEXT,
    "billable": Kind.COUNT,
    **{outcome.reason: Kind.COUNT for outcome in NOT_BILLED},
}


def usage_rows(store: EventStore, month: Month, account: str | None) -> Iterator[Row]:
    """Of one account, or of all that have task runs in the month, those too that billing does not know. An
    account at a time, each as of when it is read."""
    names = [account] if account is not None else sorted(store.accounts_in(month.start, month.end))
    for name in names:
        usage = store.usage(name, month.start, month.end, by="day", group_by="both")
        for each in usage.windows:
            counts = each.counts
            yield (
                name,
                day_of(each.start),
                each.workspace,
                each.flow,
                counts.billable,
                *counts.not_billed.values(),
            )
