"""Which months are still to be run, read from the books and from usage."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from billing.repository import accounts, invoices
from billing.repository.accounts import Account, is_after_closing
from metering.database import reading
from metering.period import Month
from metering.store import EventStore


def unrun_months(engine: sa.Engine, store: EventStore, due: Month, *, look_back: int) -> list[Month]:
    """The months up to `due`, in order and at most so many, in which an account that is billed has task runs
    and no invoice, be it void: those that were never run for it, or failed."""
    months = [due]
    while len(months) < look_back:
        months.append(months[-1].previous())
    with reading(engine) as connection:
        known = accounts.every(connection)
        invoiced = invoices.invoiced_since(connection, months[-1])
    return [month for month in reversed(months) if _is_unrun(store, month, known, invoiced)]


def _is_unrun(
    store: EventStore, month: Month, known: Iterable[Account], invoiced: set[tuple[str, Month]]
) -> bool:
    billed = {
        each.id
        for each in known
        if each.billing_from <= month
        and not is_after_closing(each, month)
        and (each.id, month) not in invoiced
    }
    if not billed:
        return False
    counts = store.counts_by_account(month.start, month.end)
    return any(counts[account].total for account in billed & counts.keys())
