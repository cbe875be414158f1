"""Takes over the state that Stripe has of an invoice. It only ever moves forward, so that answers which
overtake one another end in the newest. An invoice that Stripe has voided, whoever asked it to, is void here
with all that this undoes (`billing/voids.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.repository import invoices, outbox
from billing.voids import lock_invoice, make_void
from metering.database import writing

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway
    from billing.payments.stripe_objects import StripeInvoice

# Stripe's status → ours. A draft at Stripe is still only finalized here.
_STATUS = {
    "draft": "finalized",
    "open": "open",
    "paid": "paid",
    "void": "void",
    "uncollectible": "uncollectible",
}
_RANK = {"finalized": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}

# Of a void that was not asked for here.
STRIPE = "Stripe"
VOIDED_THERE = "voided at Stripe"


def refresh(engine: sa.Engine, gateway: StripeGateway, invoice_id: str, stripe_id: str, now: int) -> None:
    """Fetch what Stripe has of an invoice and store it. Raises PaymentError."""
    apply(engine, invoice_id, gateway.get_invoice(stripe_id), now)


def apply(engine: sa.Engine, invoice_id: str, held: StripeInvoice, now: int) -> None:
    """Store what Stripe has. A state that our invoice is past already changes nothing."""
    with writing(engine) as connection:
        status = _STATUS[held.status]
        invoice = lock_invoice(connection, invoice_id)
        if _RANK[status] < _RANK[invoice.status] or (invoice.status == "void" and status == "paid"):
            return
        invoices.update(
            connection,
            invoice_id,
            amount_paid=max(held.amount_paid, invoice.amount_paid),
            stripe_invoice_id=held.id,
            stripe_status=held.status,
            hosted_invoice_url=held.hosted_invoice_url,
            invoice_pdf=held.invoice_pdf,
        )
        if status != "void":
            invoices.update(connection, invoice_id, status=status)
            return
        asked = outbox.get(connection, outbox.void_id(invoice_id))
        by, reason = (asked.author, asked.reason) if asked is not None else (None, None)
        make_void(connection, invoice_id, by=by or STRIPE, reason=reason or VOIDED_THERE, now=now)
