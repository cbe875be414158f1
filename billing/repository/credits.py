"""Account credit: a ledger of signed amounts that is only ever added to. The rows of one credit sum to what
is left of it (docs/rules.md §5, 5)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from billing.pricing.credit import Credit
from billing.tables import credit_ledger


class CreditKind(enum.StrEnum):
    """What a row of the ledger is. The first four grant a credit; the others change what is left of one."""

    OPENING = "opening"
    REFERRAL = "referral"
    GOODWILL = "goodwill"
    CREDIT_NOTE = "credit_note"
    CARRIED = "carried"
    USED = "used"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"


GRANTS = (
    CreditKind.OPENING,
    CreditKind.REFERRAL,
    CreditKind.GOODWILL,
    CreditKind.CREDIT_NOTE,
    CreditKind.CARRIED,
)


# How a row of kind `credit_note` says which note it is of: the note's number follows.
GIVEN_BACK = "credit note "


@dataclass(frozen=True, slots=True)
class CreditEntry:
    """A row: `amount` in minor units, signed. `invoice_id` is the invoice that used the credit, gave it back,
    or carried it over."""

    account: str
    entry: int
    credit_id: str
    kind: CreditKind
    amount: int
    description: str
    invoice_id: str | None
    author: str
    recorded_at: int


def add(connection: sa.Connection, entries: Iterable[CreditEntry]) -> None:
    rows = [
        {
            "account_id": entry.account,
            "entry": entry.entry,
            "credit_id": entry.credit_id,
            "kind": entry.kind.value,
            "amount": entry.amount,
            "description": entry.description,
            "invoice_id": entry.invoice_id,
            "author": entry.author,
            "recorded_at": entry.recorded_at,
        }
        for entry in entries
    ]
    if rows:
        connection.execute(credit_ledger.insert(), rows)


def ledger(connection: sa.Connection, account_id: str) -> list[CreditEntry]:
    """An account's rows in order."""
    return ledgers(connection, [account_id])[account_id]


def ledgers(
    connection: sa.Connection, ids: Sequence[str], *, before: int | None = None
) -> dict[str, list[CreditEntry]]:
    """The rows of several accounts, in order; those with a number below `before`, where given."""
    found: dict[str, list[CreditEntry]] = {account_id: [] for account_id in ids}
    query = sa.select(credit_ledger).where(credit_ledger.c.account_id.in_(ids))
    if before is not None:
        query = query.where(credit_ledger.c.entry < before)
    for entry in _load(connection, query.order_by(credit_ledger.c.entry, credit_ledger.c.credit_id)):
        found[entry.account].append(entry)
    return found


def of_invoice(connection: sa.Connection, invoice_id: str) -> list[CreditEntry]:
    """The rows that an invoice made."""
    query = sa.select(credit_ledger).where(credit_ledger.c.invoice_id == invoice_id)
    return _load(connection, query.order_by(credit_ledger.c.entry, credit_ledger.c.credit_id))


def left(entries: list[CreditEntry]) -> tuple[Credit, ...]:
    """What is left of each credit, those that are used up left out; oldest first."""
    amounts: dict[str, int] = {}
    granted: dict[str, CreditEntry] = {}
    for each in entries:
        amounts[each.credit_id] = amounts.get(each.credit_id, 0) + each.amount
        granted.setdefault(each.credit_id, each)
    return tuple(
        Credit(credit_id, amount, granted[credit_id].recorded_at, granted[credit_id].description)
        for credit_id, amount in amounts.items()
        if amount
    )


def _load(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[CreditEntry]:
    return [
        CreditEntry(
            row.account_id,
            row.entry,
            row.credit_id,
            CreditKind(row.kind),
            row.amount,
            row.description,
            row.invoice_id,
            row.author,
            row.recorded_at,
        )
        for row in connection.execute(query)
    ]
