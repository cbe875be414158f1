"""Which months are still to be run, read from the books and from usage."""

from __future__ import annotations

import sqlalchemy as sa

from billing.repository import accounts
from metering.database import reading
from metering.period import Month
from metering.store import EventStore


def unrun_months(engine: sa.Engine, store: EventStore, due: Month, *, look_back: int) -> list[Month]:
    """The months up to `due`, in order and at most so many, in which an account that is billed has task runs
    and no invoice, be it void: those that were never run for it, or failed."""
    months = [due]
    while len(months) < look_back:
        months.append(months[-1].previous())
    return [month for month in reversed(months) if _is_unrun(engine, store, month)]


def _is_unrun(engine: sa.Engine, store: EventStore, month: Month) -> bool:
    with reading(engine) as connection:
        waiting = accounts.to_be_run(connection, month)
    if not waiting:
        return False
    counts = store.counts_by_account(month.start, month.end)
    return any(counts[account].total for account in waiting & counts.keys())
