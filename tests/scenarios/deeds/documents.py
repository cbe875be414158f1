"""Invoices, and what changes them."""

from __future__ import annotations

from billing import credit_notes, voids
from billing.approvals import approve_month
from billing.contract_invoices import invoice_contracts
from billing.payments import state
from billing.pricing.money import parse_amount
from metering.period import SECOND_US, Month
from tests.billing.months import stripe_invoice
from tests.scenarios.office import BY, Office
from tests.scenarios.story import day, money, months, whole
from tests.scenarios.verbs import does


@does("Stripe reports invoice {number}")
def stripe_reports(office: Office, number: str, *, status: str, paid: str) -> None:
    """What Stripe has of an invoice, as a webhook brings it, and what follows from it."""
    invoice = office.invoice(number)
    held = stripe_invoice(invoice, status, parse_amount(money(paid), invoice.currency))
    state.apply(office.engine, invoice.id, held, office.now, seen=state.version(office.engine, invoice.id))
    office.service.reward_referrals()


@does("bill")
def bill(office: Office, value: str) -> None:
    _bill(office, value)


@does("bill {account} alone")
def bill_one(office: Office, value: str, account: str) -> None:
    _bill(office, value, account=account)


@does("bill early")
def bill_early(office: Office, value: str) -> None:
    _bill(office, value, early=True)


@does("bill and be killed")
def bill_and_be_killed(office: Office, *, month: str, at_step: str) -> None:
    """The process ends at a step after the run has begun, the last one before it would be done."""
    office.bill_and_be_killed(Month.parse(month), whole(at_step))


@does("bill what a kill left")
def bill_the_rest(office: Office, value: str) -> None:
    """As of the cutoff with which the run began: what was shown of the month meanwhile may differ."""
    office.bill(Month.parse(value), None, early=False, resumes=True)


def _bill(office: Office, value: str, *, account: str | None = None, early: bool = False) -> None:
    for month in months(value):
        office.bill(month, account, early)


@does("invoice contracts")
def invoice_what_is_due(office: Office, value: str) -> None:
    """As the daily job does it at the end of a day."""
    for invoice in invoice_contracts(office.engine, day(value), now=office.now):
        office.issued[invoice.id] = invoice


@does("approve drafts")
def approve(office: Office, value: str) -> None:
    office.instant += SECOND_US
    approval = approve_month(
        office.engine, office.store, Month.parse(value), by=BY, now=office.instant, grace_hours=24
    )
    office.failed |= dict(approval.failed)
    for invoice in approval.approved:
        office.issued[invoice.id] = invoice


@does("void invoice {number}")
def void(office: Office, value: str, number: str) -> None:
    voids.void_invoice(office.engine, office.invoice(number).id, value, by=BY, now=office.now)


@does("credit note on {number}")
def note(office: Office, number: str, *, amount: str, kind: str, reason: str) -> None:
    invoice = office.invoice(number).id
    credit_notes.credit_note(office.engine, invoice, money(amount), kind, reason, by=BY, now=office.now)
