"""Gathers what the invoices of many accounts are computed from, in as many queries as those of one need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from billing.billing_month import MonthFacts, Standing
from billing.pricing.books import first_month
from billing.repository import accounts, books, invoice_batches
from billing.repository.runs import BillingRun
from metering.database import reading
from metering.period import Month
from metering.store import EventStore


def standings(engine: sa.Engine, ids: Sequence[str], month: Month) -> list[Standing]:
    """Accounts as they stand, in the order of their ids, all read at one moment."""
    with reading(engine) as connection:
        found = accounts.some(connection, ids)
        assert len(found) == len(ids), "accounts are never removed"
        held = books.load_many(connection, found)
        states = invoice_batches.month_states(connection, ids, month)
    return [Standing(each, held[each.id], states[each.id]) for each in found]


def month_facts(store: EventStore, run: BillingRun, open_: Sequence[Standing]) -> list[MonthFacts]:
    """What there is to know of accounts that are to be billed, in their order."""
    month = run.month
    not_run = _not_run(store, month, open_)
    ids = [each.account.id for each in open_]
    usages = dict(store.month_usages(ids, month.start, month.end, run.cutoff))
    since = {each.account.id: first_month(each.books, month) for each in open_}
    earlier = {account_id: first.start for account_id, first in since.items() if first < month}
    days = store.days_of(earlier, month.start, run.cutoff) if earlier else {}
    return [
        MonthFacts(each, usages[id_], days.get(id_, {}), not_run.get(id_))
        for id_, each in zip(ids, open_, strict=True)
    ]


def _not_run(store: EventStore, month: Month, open_: Sequence[Standing]) -> dict[str, Month]:
    """Of each account the first earlier month that has task runs and was not run, if there is one."""
    waiting: dict[Month, list[str]] = defaultdict(list)
    for each in open_:
        for earlier in each.months_before(month):
            waiting[earlier].append(each.account.id)
    found: dict[str, Month] = {}
    if not waiting:
        return found
    # Most that wait have no earlier runs at all.
    everybody = sorted(set().union(*waiting.values()))
    used = store.accounts_with_runs(everybody, min(waiting).start, month.start)
    for earlier in sorted(waiting):
        asked = [account_id for account_id in waiting[earlier] if account_id in used]
        for account_id in store.accounts_with_runs(asked, earlier.start, earlier.end) if asked else ():
            found.setdefault(account_id, earlier)
    return found
