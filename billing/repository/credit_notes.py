"""Credit notes: documents that reduce an issued invoice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from billing.repository.numbers import next_number
from billing.tables import credit_notes, outbox
from metering.period import Month

KINDS = ("usage", "goodwill")


@dataclass(frozen=True, slots=True)
class CreditNote:
    """`amount` is a magnitude in minor units of the invoice's currency. `kind` is `usage`, which says that
    less was billed for the month, or `goodwill`, which does not."""

    id: str
    number: str
    invoice_id: str
    account: str
    entry: int
    kind: str
    amount: int
    reason: str
    author: str
    issued_at: int
    stripe_credit_note_id: str | None = None


def add(connection: sa.Connection, note: CreditNote) -> CreditNote:
    """Store a credit note under the next number of the month in which it is issued."""
    month = Month.of(note.issued_at)
    numbered = replace(note, number=f"{month}-CN-{next_number(connection, f'{month}-CN'):06d}")
    connection.execute(
        credit_notes.insert().values(
            id=numbered.id,
            number=numbered.number,
            invoice_id=numbered.invoice_id,
            account_id=numbered.account,
            entry=numbered.entry,
            kind=numbered.kind,
            amount=numbered.amount,
            reason=numbered.reason,
            author=numbered.author,
            issued_at=numbered.issued_at,
        )
    )
    return numbered


def get(connection: sa.Connection, note_id: str) -> CreditNote | None:
    found = _load(connection, sa.select(credit_notes).where(credit_notes.c.id == note_id))
    return found[0] if found else None


def by_stripe_id(connection: sa.Connection, stripe_id: str) -> CreditNote | None:
    found = _load(
        connection, sa.select(credit_notes).where(credit_notes.c.stripe_credit_note_id == stripe_id)
    )
    return found[0] if found else None


def of_invoice(connection: sa.Connection, invoice_id: str) -> list[CreditNote]:
    """An invoice's notes, oldest first."""
    query = sa.select(credit_notes).where(credit_notes.c.invoice_id == invoice_id)
    return _load(connection, query.order_by(credit_notes.c.entry))


def set_stripe_id(connection: sa.Connection, note_id: str, stripe_id: str) -> None:
    connection.execute(
        credit_notes.update().where(credit_notes.c.id == note_id).values(stripe_credit_note_id=stripe_id)
    )


def usage_by_invoice(
    connection: sa.Connection, *account_ids: str, before: int | None = None
) -> dict[str, int]:
    """What notes of kind `usage` took off each invoice of some accounts, in minor units; of those with an
    entry below `before`, where given."""
    query = (
        sa.select(credit_notes.c.invoice_id, sa.func.sum(credit_notes.c.amount).label("amount"))
        .where(credit_notes.c.account_id.in_(account_ids), credit_notes.c.kind == "usage")
        .group_by(credit_notes.c.invoice_id)
    )
    if before is not None:
        query = query.where(credit_notes.c.entry < before)
    return {row.invoice_id: int(row.amount) for row in connection.execute(query)}


def waiting(connection: sa.Connection, account: str) -> dict[str, int]:
    """What notes that are not done at Stripe yet take off an account's invoices, in minor units."""
    query = (
        sa.select(credit_notes.c.invoice_id, sa.func.sum(credit_notes.c.amount).label("amount"))
        .join_from(credit_notes, outbox, outbox.c.credit_note_id == credit_notes.c.id)
        .where(credit_notes.c.account_id == account, outbox.c.status != "done")
        .group_by(credit_notes.c.invoice_id)
    )
    return {row.invoice_id: int(row.amount) for row in connection.execute(query)}


def _load(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[CreditNote]:
    return [
        CreditNote(
            row.id,
            row.number,
            row.invoice_id,
            row.account_id,
            row.entry,
            row.kind,
            row.amount,
            row.reason,
            row.author,
            row.issued_at,
            row.stripe_credit_note_id,
        )
        for row in connection.execute(query)
    ]
