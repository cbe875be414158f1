"""Gathers what the meter holds of a month and what was invoiced for it, account by account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from billing.adjustments import to_adjust
from billing.app import Service
from billing.errors import Invalid
from billing.invoices import preview
from billing.pricing.adjustment import Priced
from billing.pricing.books import Books
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import PricingError
from billing.reconciliation.difference import NOT_ADJUSTED, Difference
from billing.reconciliation.with_meter import (
    Invoiced,
    Uninvoiced,
    not_adjusted,
    not_invoiced,
    unassigned,
)
from billing.repository import accounts, books, invoices, plans
from billing.repository.accounts import Account, is_after_closing
from billing.repository.invoices import Invoice
from billing.terms import get_account
from metering.database import reading
from metering.period import HOUR_US, Month
from metering.usage import Counts

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class MeterSide:
    """`accounts`: how many were compared."""

    accounts: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare_meter(service: Service, month: Month, account: str | None, progress: Progress) -> MeterSide:
    """The differences between meter and invoices, in the order of accounts. Raises NotFound."""
    counts = service.store.counts_by_account(month.start, month.end)
    side = MeterSide()
    with reading(service.engine) as connection:
        every = [get_account(connection, account)] if account else accounts.every(connection)
        catalogue = plans.catalogue(connection)
    known = {each.id for each in every}
    concerned = [each for each in every if each.billing_from <= month]
    for done, each in enumerate(concerned):
        progress(done, len(concerned))
        held = _Held.of(service.engine, each, month)
        if held.live is None or held.live.status == "draft":
            found = _uninvoiced(service, held, month, counts.get(each.id, Counts()))
        else:
            found = _invoiced(service, held, month, catalogue)
        side.accounts += held.live is not None or each.id in counts
        side.differences += [found] if found else []
    progress(len(concerned), len(concerned))
    if account is None:
        strangers = sorted(counts.keys() - known)
        side.differences += [
            unassigned(each, counts[each].billable, month) for each in strangers if counts[each].total
        ]
    return side


@dataclass(frozen=True, slots=True)
class _Held:
    """An account's books, its live invoice of the month, its last invoice of a later one, and the number of
    the month's invoice that was voided last."""

    account: Account
    books: Books
    live: Invoice | None
    later: Invoice | None
    void: str

    @classmethod
    def of(cls, engine: sa.Engine, account: Account, month: Month) -> _Held:
        with reading(engine) as connection:
            live = invoices.live_usage_invoice(connection, account.id, month)
            later = [
                each for each in invoices.live_usage_invoices(connection, account.id) if each.month > month
            ]
            void_id = invoices.last_void(connection, account.id, month)
            void = None if void_id is None else invoices.get(connection, void_id)
            held = books.load(connection, account)
        number = "" if void is None else void.number or void.id
        return cls(account, held, live, later[-1] if later else None, number)


def _uninvoiced(service: Service, held: _Held, month: Month, counts: Counts) -> Difference | None:
    """Task runs in a month that is due, and no invoice."""
    account = held.account
    closed = is_after_closing(account, month)
    if not _is_due(service, month) or not (counts.billable if closed else counts.total):
        return None
    amount: int | None = None
    problem = ""
    try:
        total = preview(service.engine, service.store, account.id, month)["total"]
        assert isinstance(total, int)
        amount = None if closed else total
    except Invalid as error:
        problem = str(error)
    each = Uninvoiced(
        account.id,
        account.currency,
        counts.billable,
        amount,
        problem,
        draft=held.live is not None,
        void=held.void,
        closed_on=account.closed_on if closed else None,
    )
    return not_invoiced(each, month)


def _invoiced(service: Service, held: _Held, month: Month, catalogue: Catalogue) -> Difference | None:
    """What of an invoiced month is still to be adjusted."""
    account, live = held.account, held.live
    assert live is not None
    try:
        left = _left(service, held, month, catalogue)
        seen = Priced()
        if left.runs and not left.amount:
            seen = _seen(service, held, month, catalogue, left)
    except PricingError as error:
        message = f"what {month} comes to now cannot be computed ({error}); put that right, and bill again"
        return Difference(account.id, "meter-invoice", NOT_ADJUSTED, message, invoice=live.number)
    return not_adjusted(Invoiced(account.id, account.currency, live.number or live.id, left, seen), month)


def _left(
    service: Service, held: _Held, month: Month, catalogue: Catalogue, cutoff: int | None = None
) -> Priced:
    found = to_adjust(service.store, held.books, catalogue, cutoff=cutoff)
    return next((each.difference for each in found if each.month == month), Priced())


def _seen(service: Service, held: _Held, month: Month, catalogue: Catalogue, left: Priced) -> Priced:
    """How much of a change that costs nothing was looked at already, and made no line: by the account's last
    invoice, or by the run of a month in which there was nothing to bill."""
    if held.later is None:
        return left if _is_due(service, month.next()) else Priced()
    return _left(service, held, month, catalogue, held.later.cutoff)


def _is_due(service: Service, month: Month) -> bool:
    return service.now() >= month.end + service.settings.grace_hours * HOUR_US
