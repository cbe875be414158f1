"""What an invoice does to the account's credit, and what its voiding undoes (docs/rules.md §5, §6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from billing.errors import Refused
from billing.ids import new_id
from billing.pricing.credit import Credit, amount_carried, credits_used
from billing.pricing.money import format_amount
from billing.repository import credits
from billing.repository.credits import CreditEntry, CreditKind
from billing.repository.invoices import Invoice

BILLING = "billing run"


def record(connection: sa.Connection, issued: Iterable[Invoice], now: int) -> None:
    """The rows of invoices that have their number and entry: credit that they use, and what they carry
    over."""
    credits.add(connection, [entry for invoice in issued for entry in _entries(invoice, now)])


def _entries(invoice: Invoice, now: int) -> Iterator[CreditEntry]:
    assert invoice.entry is not None
    for use in credits_used(invoice.lines):
        text = f"Used by invoice {invoice.number}"
        yield _entry(invoice, invoice.entry, use.id, CreditKind.USED, -use.amount, text, BILLING, now)
    carried = amount_carried(invoice.lines)
    if carried:
        text = f"Carried over from invoice {invoice.number}"
        yield _entry(
            invoice, invoice.entry, new_id("crd", now), CreditKind.CARRIED, carried, text, BILLING, now
        )


def require_unspent(connection: sa.Connection, invoice: Invoice) -> None:
    """Raises Refused if credit that the invoice carried over was used by another invoice."""
    left = {each.id: each.amount for each in _left(connection, invoice)}
    for row in credits.of_invoice(connection, invoice.id):
        if row.kind is CreditKind.CARRIED and left.get(row.credit_id, 0) != row.amount:
            users = [
                each.description.removeprefix("Used by invoice ")
                for each in credits.ledger(connection, invoice.account)
                if each.credit_id == row.credit_id and each.kind is CreditKind.USED
            ]
            raise Refused(
                f"invoice {invoice.number} carried over {format_amount(row.amount, invoice.currency)}, which "
                f"invoice {users[-1]} used; void that one first"
            )


def give_back(connection: sa.Connection, invoice: Invoice, entry: int, by: str, now: int) -> None:
    """Undo it, under the entry of the voiding: used credit is returned, carried credit withdrawn."""
    left = {each.id: each.amount for each in _left(connection, invoice)}
    for row in credits.of_invoice(connection, invoice.id):
        if row.kind is CreditKind.USED:
            text, kind, amount = "Returned by void invoice", CreditKind.RETURNED, -row.amount
        elif row.kind is CreditKind.CARRIED:
            text, kind = "Withdrawn with void invoice", CreditKind.WITHDRAWN
            amount = -left.get(row.credit_id, 0)
        else:
            continue
        if amount:
            text = f"{text} {invoice.number}"
            made = _entry(invoice, entry, row.credit_id, kind, amount, text, by, now)
            credits.add(connection, [made])


def _left(connection: sa.Connection, invoice: Invoice) -> tuple[Credit, ...]:
    return credits.left(credits.ledger(connection, invoice.account))


def _entry(
    invoice: Invoice,
    entry: int,
    credit_id: str,
    kind: CreditKind,
    amount: int,
    description: str,
    by: str,
    now: int,
) -> CreditEntry:
    return CreditEntry(invoice.account, entry, credit_id, kind, amount, description, invoice.id, by, now)
