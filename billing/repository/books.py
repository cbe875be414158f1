"""An account's books as they stand, or as they stood before one of their entries."""

from __future__ import annotations

import sqlalchemy as sa

from billing.pricing.books import Books, Issued
from billing.pricing.terms import terms_of
from billing.repository import credit_notes, credits, invoices, terms
from billing.repository.accounts import Account


def load(connection: sa.Connection, account: Account, *, before: int | None = None) -> Books:
    """`before`: the number of an entry, such as an invoice's; the books are then as that entry found them."""
    held = account.terms
    if before is not None:
        held = terms_of(terms.changes(connection, [account.id], before=before)[account.id])
    live = invoices.live_usage_invoices(connection, account.id, before=before)
    credited = credit_notes.usage_by_invoice(connection, account.id, before=before)
    return Books(
        account=account.id,
        currency=account.currency,
        terms=held,
        issued=tuple(Issued(each.month, each.lines, credited.get(each.id, 0)) for each in live),
        credits=credits.left(credits.ledger(connection, account.id, before=before)),
    )
