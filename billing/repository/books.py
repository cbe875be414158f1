"""The books of accounts as they stand, or as they stood before one of their entries."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from billing.pricing.books import Books, Issued
from billing.pricing.terms import terms_of
from billing.repository import credit_notes, credits, invoice_batches, terms
from billing.repository.accounts import Account


def load(connection: sa.Connection, account: Account, *, before: int | None = None) -> Books:
    """`before`: the number of an entry, such as an invoice's; the books are then as that entry found them."""
    return load_many(connection, [account], before=before)[account.id]


def load_many(
    connection: sa.Connection, accounts: Sequence[Account], *, before: int | None = None
) -> dict[str, Books]:
    """The books of several accounts, in as many queries as those of one."""
    ids = [account.id for account in accounts]
    held = {account.id: account.terms for account in accounts}
    if before is not None:
        changes = terms.changes(connection, ids, before=before)
        held = {account_id: terms_of(changes[account_id]) for account_id in ids}
    live = invoice_batches.live(connection, ids, before=before)
    credited = credit_notes.usage_by_invoice(connection, *ids, before=before)
    ledgers = credits.ledgers(connection, ids, before=before)
    return {
        account.id: Books(
            account=account.id,
            currency=account.currency,
            terms=held[account.id],
            issued=tuple(
                Issued(each.month, each.lines, credited.get(each.id, 0)) for each in live[account.id]
            ),
            credits=credits.left(ledgers[account.id]),
        )
        for account in accounts
    }
