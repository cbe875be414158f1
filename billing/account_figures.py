"""What several accounts come to in a month, and in those before it: from the counters, in as many queries as
one account needs where they lie together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from billing.pricing.books import Books, DailyCounts, own_price
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import PricingError
from billing.repository import plans
from billing.repository.accounts import Account, is_after_closing
from metering.database import reading
from metering.period import Month, day_start
from metering.store import EventStore
from metering.usage import Counts

# The month itself and those before it.
MONTHS = 6


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """`amount` (minor units) is the month's own price: usage, discounts and protection, before adjustments,
    credit, instalments and tax; None for a month that is not billed or cannot be priced. `trend`: the
    billable runs of some months, the last of them this one."""

    account: Account
    month: Month
    plan: str
    billable: int
    not_billed: int
    amount: int | None
    trend: tuple[tuple[Month, int], ...]

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "account": self.account.id,
            "name": self.account.name,
            "month": str(self.month),
            "plan": self.plan,
            "billable": self.billable,
            "not_billed": self.not_billed,
            "amount": self.amount,
            "currency": self.account.currency,
            "trend": [{"month": str(month), "billable": billable} for month, billable in self.trend],
        }


def account_figures(
    engine: sa.Engine, store: EventStore, found: Sequence[Account], month: Month, *, months: int = MONTHS
) -> list[AccountFigures]:
    """The figures of some accounts, in their order."""
    if not found:
        return []
    since = {each.id: _since(each, month) for each in found}
    days = store.days_of(since, month.end, store.cutoff().position)
    with reading(engine) as connection:
        catalogue = plans.catalogue(connection)
    shown = [month]
    while len(shown) < months:
        shown.insert(0, shown[0].previous())
    figures = []
    for each in found:
        used = store.usage(each.id, shown[0].start, month.end, by="month")
        held = {window.start: window.counts for window in used.windows}
        counts = held.get(month.start, Counts())
        trend = tuple((one, held[one.start].billable if one.start in held else 0) for one in shown)
        amount = _amount(each, catalogue, month, days[each.id])
        plan, free = each.terms.plan(month), sum(counts.not_billed.values())
        figures.append(AccountFigures(each, month, plan, counts.billable, free, amount, trend))
    return figures


def _since(account: Account, month: Month) -> int:
    """Of a contract, what was drawn before has a say in what is left."""
    contract = account.terms.contract(month)
    return month.start if contract is None else min(month.start, day_start(contract.start))


def _amount(account: Account, catalogue: Catalogue, month: Month, days: DailyCounts) -> int | None:
    if month < account.billing_from or is_after_closing(account, month):
        return None
    books = Books(account.id, account.currency, account.terms)
    try:
        return own_price(books, catalogue, month, days).amount
    except PricingError:
        return None
