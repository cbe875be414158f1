"""Voiding an invoice and crediting one, on the books alone: what the operations do beside telling Stripe."""

from __future__ import annotations

import sqlalchemy as sa

from billing import credit_use
from billing.ids import new_id
from billing.repository import accounts, credit_notes, invoices
from billing.repository.credit_notes import CreditNote
from billing.repository.invoices import Invoice
from metering.database import writing


def void(engine: sa.Engine, invoice: Invoice, reason: str, now: int) -> None:
    """Raises Refused if credit that it carried over was used."""
    with writing(engine) as connection:
        entry = accounts.next_entry(connection, invoice.account)
        assert entry is not None
        credit_use.require_unspent(connection, invoice)
        credit_use.give_back(connection, invoice, entry, "operator", now)
        invoices.update(
            connection, invoice.id, status="void", void_entry=entry, voided_at=now, void_reason=reason
        )


def credit_note(engine: sa.Engine, invoice: Invoice, amount: int, kind: str, reason: str, now: int) -> None:
    """`amount` in minor units."""
    with writing(engine) as connection:
        entry = accounts.next_entry(connection, invoice.account)
        assert entry is not None
        note = CreditNote(
            new_id("crn", now), "", invoice.id, invoice.account, entry, kind, amount, reason, "operator", now
        )
        credit_notes.add(connection, note)
