"""The billable runs of all accounts and months, where no counter has them in columns."""

from __future__ import annotations

from typing import Protocol

from metering.durations import BillableMonths
from metering.period import Month
from metering.store.buckets import month_number
from metering.usage import Counts


class Counted(Protocol):
    def counts_by_account(self, start: int, end: int) -> dict[str, Counts]:
        """See `EventStore`."""


def billable_months_of(store: Counted, start: int, end: int) -> BillableMonths:
    """See `EventStore.billable_months`: asked month by month."""
    import numpy as np  # takes a tenth of a second

    places: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []
    month = Month.of(start)
    while month.start < end:
        number = month_number(month.start)
        for account, counts in store.counts_by_account(month.start, month.end).items():
            if counts.billable:
                rows.append((places.setdefault(account, len(places)), number, counts.billable))
        month = month.next()
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return BillableMonths(list(places), columns[:, 0], columns[:, 1], columns[:, 2])
