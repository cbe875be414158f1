"""Gathers our invoices of a month and Stripe's: by one listing, never by a call an invoice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.payments.desk import go_on
from billing.payments.errors import Missing
from billing.payments.stripe_objects import StripeInvoice
from billing.payments.tax import lines_at_stripe
from billing.reconciliation.difference import Difference
from billing.reconciliation.meter_side import Progress
from billing.reconciliation.with_stripe import Listed, Ours, compare_with_stripe, month_of
from billing.repository import invoices, reconciling
from billing.repository.invoices import Invoice
from billing.repository.reconciling import Links
from billing.terms import get_account
from metering.database import reading
from metering.period import DAY_US, SECOND_US, Month

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway

# So many invoices of the listing are looked up in our books at once.
PART = 500


@dataclass(slots=True)
class StripeSide:
    """Our issued invoices of the month, how many of Stripe's belong to it, and what differs."""

    ours: list[Ours] = field(default_factory=list)
    at_stripe: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare_stripe(
    engine: sa.Engine, gateway: StripeGateway, month: Month, account: str | None, progress: Progress
) -> StripeSide:
    """Raises PaymentError."""
    # Stripe first: what our books learn meanwhile is then at most ahead of the listing, which is looked at
    # again below.
    listed = list(_listed(engine, gateway, month, account, progress))
    ours = our_invoices(engine, month, account)
    differences = compare_with_stripe(month, ours, listed)
    doubtful = _doubtful(differences)
    if doubtful:
        listed = _again(gateway, month, ours, listed, doubtful)
        differences = compare_with_stripe(month, ours, listed)
    return StripeSide([each for each in ours if each.status != "draft"], len(listed), differences)


def our_invoices(engine: sa.Engine, month: Month, account: str | None) -> list[Ours]:
    """The month's invoices of any kind, with their notes and what is still to be done for them."""
    with reading(engine) as connection:
        held = invoices.search(connection, month=month, account=account)
        credited = reconciling.credited(connection, month, account)
        waiting = reconciling.waiting(connection, month, account)
        links = reconciling.links(connection, month, account)
    return [_ours(each, credited.get(each.id, 0), waiting.get(each.id, {}), links[each.id]) for each in held]


def _ours(invoice: Invoice, credited: int, waiting: dict[str, str], links: Links) -> Ours:
    to_tax = lines_at_stripe(invoice.lines, invoice.currency, automatic=True)
    return Ours(
        invoice.id,
        invoice.account,
        invoice.number or "",
        invoice.status,
        invoice.currency,
        invoice.total,
        invoice.amount_paid,
        tuple((line.description, line.amount) for line in invoice.lines),
        go_on(invoice),
        tuple((line.description, line.amount) for line in to_tax),
        credited,
        waiting,
        invoice.stripe_invoice_id,
        links.page,
        links.pdf,
    )


def _listed(
    engine: sa.Engine, gateway: StripeGateway, month: Month, account: str | None, progress: Progress
) -> Iterator[Listed]:
    """Stripe's invoices that belong to the month. Of the listing, which goes on to this day, only these are
    kept."""
    with reading(engine) as connection:
        first = reconciling.first_issued_at(connection, month, account)
        customer = get_account(connection, account).stripe_customer_id if account else None
    if account is not None and customer is None:
        return  # nothing was ever made there for the account
    since = month.end if first is None else min(month.end, first - DAY_US)
    listing = gateway.list_invoices(since // SECOND_US, customer)
    done = 0
    while part := list(islice(listing, PART)):
        done += len(part)
        progress(done, None)
        yield from (each for each in _placed(engine, part) if month_of(each) == month)


def _placed(engine: sa.Engine, part: Sequence[StripeInvoice]) -> Iterator[Listed]:
    """What our books say of some invoices at Stripe."""
    with reading(engine) as connection:
        named = reconciling.named(
            connection, [each.id for each in part], [each.invoice_id for each in part if each.invoice_id]
        )
        by_stripe_id = {each.stripe_invoice_id: each for each in named}
        by_id = {each.id: each for each in named}
        customers = {each.customer for each in part if each.customer}
        accounts = reconciling.accounts_of_customers(connection, sorted(customers))
        for held in part:
            mine = by_stripe_id.get(held.id) or by_id.get(held.invoice_id or "")
            if mine is not None:
                yield Listed(held, mine.id, mine.month)
            elif (account := accounts.get(held.customer or "")) is not None:
                made_at = held.created * SECOND_US
                last = reconciling.last_month_before(connection, account, made_at)
                yield Listed(held, account=account, last=last)
            else:
                yield Listed(held)


def _doubtful(differences: Iterable[Difference]) -> set[str]:
    """Where Stripe seems to be behind us, our books may only have moved on since the listing."""
    return {
        each.stripe_invoice_id
        for each in differences
        if each.stripe_invoice_id is not None and each.fix != "refresh"
    }


def _again(
    gateway: StripeGateway, month: Month, ours: list[Ours], listed: list[Listed], doubtful: set[str]
) -> list[Listed]:
    """The same, with what is in doubt fetched: also what the listing did not hold."""
    kept = {each.held.id: each for each in listed}
    mine = {each.stripe_invoice_id: each.id for each in ours}
    for stripe_id in sorted(doubtful):
        try:
            held = gateway.get_invoice(stripe_id)
        except Missing:
            kept.pop(stripe_id, None)
        else:
            before = kept.get(stripe_id) or Listed(held, mine[stripe_id], month)
            kept[stripe_id] = replace(before, held=held)
    return list(kept.values())
