"""Voids an invoice at Stripe, in whatever state it is there: a draft is deleted, an open one voided, one that
Stripe never had needs nothing. Then, and not before, it is void here. One that was paid meanwhile cannot be
void any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.payments.desk import Desk, go_on
from billing.payments.errors import Missing, NeedsOperator, TryAgain
from billing.payments.state import apply, refresh, version
from billing.repository import audit, invoices, outbox
from billing.repository.invoices import Invoice
from billing.repository.outbox import Intent
from billing.voids import make_void
from metering.database import reading, writing

if TYPE_CHECKING:
    from billing.payments.stripe_objects import StripeInvoice


def step(desk: Desk, intent: Intent, invoice: Invoice) -> Intent | None:
    """Void it there, then here. Raises PaymentError."""
    _require_asked(desk, intent, invoice)
    seen = version(desk.engine, invoice.id)
    held = _find(desk, invoice)
    if held is not None and held.status not in ("void", "paid"):
        held = _end(desk, intent, held)
    if held is None:
        _void_here(desk, intent, invoice)
    else:
        if not apply(desk.engine, invoice.id, held, desk.clock(), seen=seen):
            refresh(desk.engine, desk.gateway, invoice.id, held.id, desk.clock())
        if held.status == "paid" and not held.amount_paid and held.total_excluding_tax != invoice.total:
            # Somebody finalized the draft before it had its lines: it asks for nothing, and nothing was paid.
            _void_here(desk, intent, invoice)
        elif held.status == "paid":
            _leave_sent(desk, intent)
            raise NeedsOperator(
                f"invoice {invoice.number} was paid meanwhile; give the money back with a credit note: "
                f"billing invoices credit-note {invoice.number} AMOUNT --kind usage|goodwill --reason TEXT"
            )
    return desk.intent(intent.id)


def _require_asked(desk: Desk, intent: Intent, invoice: Invoice) -> None:
    """A row in the outbox alone voids nothing. Raises NeedsOperator."""
    with reading(desk.engine) as connection:
        if not audit.was_asked(connection, invoice.id, intent.author, intent.reason):
            raise NeedsOperator(
                f"nobody asked for the void of invoice {invoice.number} as its intent says: it was made "
                "behind the service's back; look at: billing prove"
            )


def _find(desk: Desk, invoice: Invoice) -> StripeInvoice | None:
    """The invoice as Stripe has it, also if we were never told that it was made. An issued one is never
    deleted there: if Stripe does not have it, somebody else's Stripe was asked. Raises NeedsOperator."""
    if invoice.stripe_invoice_id is not None:
        held = _get(desk, invoice.stripe_invoice_id)
        if held is None and invoice.status != "finalized":
            raise NeedsOperator(
                f"invoice {invoice.number} is {invoice.status}, and Stripe does not have "
                f"{invoice.stripe_invoice_id}; check that BILLING_STRIPE_API_KEY is of the right account, "
                f"then: {go_on(invoice)}"
            )
        return held
    customer = desk.account(invoice).stripe_customer_id
    return None if customer is None else desk.gateway.find_invoice(customer, invoice.id)


def _get(desk: Desk, stripe_id: str) -> StripeInvoice | None:
    try:
        return desk.gateway.get_invoice(stripe_id)
    except Missing:
        return None


def _end(desk: Desk, intent: Intent, held: StripeInvoice) -> StripeInvoice | None:
    """Delete or void it; None if Stripe has it no more. If Stripe refuses because the invoice moved on
    meanwhile, that is its end too, or another attempt's beginning."""
    try:
        if held.status == "draft":
            desk.gateway.delete_draft(held.id)
            return None
        return desk.gateway.void_invoice(held.id, f"void:{intent.invoice_id}:{intent.generation}")
    except NeedsOperator as error:
        now = _get(desk, held.id)
        if now is None or now.status in ("void", "paid"):
            return now
        if now.status != held.status:
            raise TryAgain(f"the invoice is {now.status} at Stripe meanwhile ({error})") from error
        raise


def _void_here(desk: Desk, intent: Intent, invoice: Invoice) -> None:
    with writing(desk.engine) as connection:
        invoices.update(connection, invoice.id, stripe_invoice_id=None, stripe_status=None)
        make_void(
            connection,
            invoice.id,
            by=intent.author or "",
            reason=intent.reason or "",
            now=desk.clock(),
        )


def _leave_sent(desk: Desk, intent: Intent) -> None:
    """Stripe has the invoice, finalized: its sending, which the void took the place of, is done."""
    with writing(desk.engine) as connection:
        outbox.update(connection, intent.invoice_id, status="done", error=None)
