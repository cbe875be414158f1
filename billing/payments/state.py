"""Takes over the state that Stripe has of an invoice. It only ever moves forward, so that answers which
overtake one another end in the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.repository import invoices
from metering.database import writing

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeInvoice

# Stripe's status → ours. A draft at Stripe is still only finalized here.
_STATUS = {
    "draft": "finalized",
    "open": "open",
    "paid": "paid",
    "void": "void",
    "uncollectible": "uncollectible",
}
_RANK = {"finalized": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}


def apply(engine: sa.Engine, invoice_id: str, held: StripeInvoice) -> None:
    """Store what Stripe has. A state that our invoice is past already changes nothing."""
    with writing(engine) as connection:
        invoice = invoices.get(connection, invoice_id)
        assert invoice is not None
        status = _STATUS[held.status]
        if _RANK[status] < _RANK[invoice.status]:
            return
        invoices.update(
            connection,
            invoice_id,
            status=status,
            amount_paid=max(held.amount_paid, invoice.amount_paid),
            stripe_invoice_id=held.id,
            stripe_status=held.status,
            hosted_invoice_url=held.hosted_invoice_url,
            invoice_pdf=held.invoice_pdf,
        )
