"""Sends a finalized invoice to Stripe, one small step at a time: `customer → create → lines → finalize`.

A step that was begun before looks for what exists at Stripe before it asks for anything: the answer to the
earlier attempt may have been lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from billing.billing_details import details_of
from billing.payments.customer import bring_up_to_date
from billing.payments.desk import Desk, go_on
from billing.payments.errors import Declined, Missing, NeedsOperator, PaymentError
from billing.payments.state import apply, refresh, version
from billing.payments.tax import lines_at_stripe
from billing.repository import invoices, outbox
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.outbox import Intent
from metering.database import reading, writing

if TYPE_CHECKING:
    from billing.payments.stripe_objects import StripeInvoice

# What Stripe says where automatic tax finds no place for the customer.
NO_LOCATION = "customer_tax_location_invalid"

_STEPS = outbox.STEPS["send"]


def step(desk: Desk, intent: Intent, invoice: Invoice) -> Intent | None:
    """Do the next step and store its result. Raises PaymentError."""
    assert invoice.number is not None, "only a numbered invoice is sent"
    do = {"customer": _customer, "create": _create, "lines": _lines, "finalize": _finalize}[intent.step]
    try:
        do(desk, intent, invoice)
    except Missing:
        if not _draft_is_gone(desk, invoice.id):
            raise
        return _begin_again(desk, intent)
    return _advance(desk, intent)


def _draft_is_gone(desk: Desk, invoice_id: str) -> bool:
    """Whether it is the draft that Stripe does not have any more: not its customer, nor anything else."""
    with reading(desk.engine) as connection:
        invoice = invoices.get(connection, invoice_id)
    if invoice is None or invoice.stripe_invoice_id is None or invoice.status != "finalized":
        return False
    try:
        desk.gateway.get_invoice(invoice.stripe_invoice_id)
    except Missing:
        return True
    return False


def _begin_again(desk: Desk, intent: Intent) -> Intent | None:
    """The draft was deleted at Stripe: make another, with keys that Stripe has no answers for."""
    with writing(desk.engine) as connection:
        invoices.update(connection, intent.invoice_id, stripe_invoice_id=None, stripe_status=None)
        outbox.update(connection, intent.id, step="create", step_since=0, generation=intent.generation + 1)
        return outbox.get(connection, intent.id)


def _advance(desk: Desk, intent: Intent) -> Intent | None:
    place = _STEPS.index(intent.step) + 1
    with writing(desk.engine) as connection:
        if place == len(_STEPS):
            outbox.finish(connection, intent.id)
        else:
            outbox.update(connection, intent.id, step=_STEPS[place], step_since=0, error=None)
        return outbox.get(connection, intent.id)


def _customer(desk: Desk, intent: Intent, invoice: Invoice) -> None:
    bring_up_to_date(desk, desk.account(invoice), intent)


def _create(desk: Desk, intent: Intent, invoice: Invoice) -> None:
    if invoice.stripe_invoice_id is not None:
        return
    account = desk.account(invoice)
    # Again: what kept the invoice from being made may have been mended in our books.
    customer = bring_up_to_date(desk, account, intent)
    made = desk.gateway.find_invoice(customer, invoice.id) if intent.step_since else None
    if made is None:
        details = details_of(invoice.bill_to)
        charge = details.collection == "charge" or (
            details.collection == "automatic" and desk.gateway.has_payment_method(customer)
        )
        with _explained(invoice, account, charge):
            made = desk.gateway.create_invoice(
                customer=customer,
                invoice_id=invoice.id,
                number=invoice.number or "",
                currency=invoice.currency,
                description=_description(invoice),
                purchase_order=details.purchase_order,
                charge_automatically=charge,
                days_until_due=details.days_until_due,
                key=_key(intent),
            )
    with writing(desk.engine) as connection:
        invoices.update(connection, invoice.id, stripe_invoice_id=made.id, stripe_status=made.status)


def _lines(desk: Desk, intent: Intent, invoice: Invoice) -> None:
    stripe_id = _stripe_id(invoice)
    if intent.step_since and desk.gateway.get_lines(stripe_id):
        return  # they arrived; the next step compares them
    lines = lines_at_stripe(invoice.lines, invoice.currency, automatic=desk.gateway.tax.automatic)
    desk.gateway.add_lines(stripe_id, lines, _key(intent))


def _finalize(desk: Desk, intent: Intent, invoice: Invoice) -> None:
    stripe_id = _stripe_id(invoice)
    seen = version(desk.engine, invoice.id)
    held = desk.gateway.get_invoice(stripe_id)
    _compare(desk, invoice, held)
    if held.status == "draft":
        account = desk.account(invoice)
        bring_up_to_date(desk, account, intent)
        with _explained(invoice, account, charge=held.charge_automatically):
            held = desk.gateway.finalize_invoice(stripe_id, _key(intent))
    if not apply(desk.engine, invoice.id, held, desk.clock(), seen=seen):
        refresh(desk.engine, desk.gateway, invoice.id, stripe_id, desk.clock())
    elif held.status == "open" and held.collection.attempts:
        # Why the attempt failed is good to know at once. If it cannot be told, a webhook will.
        with suppress(PaymentError):
            refresh(desk.engine, desk.gateway, invoice.id, stripe_id, desk.clock())


@contextmanager
def _explained(invoice: Invoice, account: Account, charge: bool) -> Iterator[None]:
    """Stripe sends no invoice to a customer without an e-mail address, and computes no tax for one without
    an address: say how they are given."""
    try:
        yield
    except NeedsOperator as error:
        if isinstance(error, Declined) and error.code == NO_LOCATION:
            raise NeedsOperator(
                f"Stripe cannot tell the tax of {account.id}, whose address it does not know; set it with: "
                f"billing accounts update {account.id} --line1 TEXT --postal-code TEXT --city TEXT "
                f"--country CODE, then: {go_on(invoice)} ({error})"
            ) from error
        if charge or account.email or "email" not in str(error).lower():
            raise
        raise NeedsOperator(
            f"Stripe sends no invoice to {account.id}, which has no e-mail address; give it one with: "
            f"billing accounts update {account.id} --email ADDRESS, then: {go_on(invoice)} ({error})"
        ) from error


def _description(invoice: Invoice) -> str:
    if invoice.kind == "contract":
        return f"Contract {invoice.contract}"
    return f"Task runs in {invoice.month}"


def _key(intent: Intent) -> str:
    return f"invoice:{intent.invoice_id}:{intent.step}:{intent.generation}"


def _compare(desk: Desk, invoice: Invoice, held: StripeInvoice) -> None:
    """Nothing is finalized that is not ours to the cent. Raises NeedsOperator."""
    wanted = lines_at_stripe(invoice.lines, invoice.currency, automatic=held.automatic_tax)
    ours = [(line.description, line.amount) for line in wanted]
    lines = desk.gateway.get_lines(held.id) if held.lines is None else held.lines
    theirs = [(line.description, line.amount) for line in lines]
    problems = []
    if sorted(theirs) != sorted(ours):
        problems.append(f"its {len(theirs)} lines are not our {len(ours)}")
    if held.total_excluding_tax != invoice.total:
        problems.append(f"its total is {held.total_excluding_tax}, ours {invoice.total}")
    if held.currency != invoice.currency:
        problems.append(f"its currency is {held.currency}, ours {invoice.currency}")
    if held.number != invoice.number:
        problems.append(f"its number is {held.number}, ours {invoice.number}")
    if problems:
        raise NeedsOperator(
            f"Stripe's invoice {held.id} differs from {invoice.number}: {'; '.join(problems)}; "
            f"correct or delete the draft at Stripe, then: {go_on(invoice)}"
        )


def _stripe_id(invoice: Invoice) -> str:
    assert invoice.stripe_invoice_id is not None, "the create step comes first"
    return invoice.stripe_invoice_id
