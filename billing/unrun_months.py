"""Which months are still to be run, read from the books and from usage."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from billing.repository import accounts, invoices
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
        known = {each.id: each.billing_from for each in accounts.every(connection)}
        invoiced = invoices.invoiced_since(connection, months[-1])
    return [month for month in reversed(months) if _is_unrun(store, month, known, invoiced)]


def _is_unrun(
    store: EventStore, month: Month, known: Mapping[str, Month], invoiced: set[tuple[str, Month]]
) -> bool:
    if all(billing_from > month for billing_from in known.values()):
        return False
    return any(
        counts.total and account in known and known[account] <= month and (account, month) not in invoiced
        for account, counts in store.counts_by_account(month.start, month.end).items()
    )
