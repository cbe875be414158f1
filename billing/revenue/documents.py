"""Invoices, credit notes, payments and credit as entries of the journal. Pure.

Usage of a month is revenue of that month, and is invoiced in the next: on the month's last day it is
accrued as unbilled usage, which the invoice takes away. An invoice that was issued instead of a void one is
revenue of the day of its issue, as the void took it away on the day of the void: months that were reported
stay as they were (decision 28).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from billing.pricing.line import LineKind
from billing.revenue.facts import CreditRow, Document
from billing.revenue.ledger import Entry, Kind, LedgerAccount, postings
from billing.revenue.receivable import settlements, stands_on, went_back_before, write_offs
from metering.period import day_of

_L = LedgerAccount
Pair = tuple[LedgerAccount, int]

EARNED = {
    LineKind.USAGE: _L.USAGE,
    LineKind.ON_DEMAND: _L.ON_DEMAND,
    LineKind.PROGRAM_DISCOUNT: _L.DISCOUNTS,
    LineKind.PRICE_PROTECTION: _L.PROTECTION,
    LineKind.ADJUSTMENT: _L.ADJUSTMENTS,
}
CREDIT = (LineKind.CREDIT, LineKind.CARRIED)
COMMITTED = (LineKind.INSTALMENT, LineKind.SERVICE)
# Kinds of the credit ledger that stand on their own; what invoices did to credit is theirs.
_GRANTED = {"opening": _L.OPENING, "referral": _L.CREDIT_GRANTED, "goodwill": _L.CREDIT_GRANTED}


def is_accrued(document: Document) -> bool:
    """Whether its usage is revenue of its month, and not of the day of its issue."""
    issued_after = day_of(document.issued_at) > document.month.last_day
    return document.kind == "usage" and issued_after and not document.replaces


def earned(document: Document) -> int:
    """What its lines of usage come to: with discounts and adjustments, without credit."""
    return sum(line.amount for line in document.lines if line.kind in EARNED)


def document_entries(document: Document) -> Iterator[Entry]:
    """All that happened to an invoice."""
    issued, number = day_of(document.issued_at), document.number
    is_later = is_accrued(document)
    taken = [(EARNED[line.kind], -line.amount) for line in document.lines if line.kind in EARNED]
    unbilled = (_L.UNBILLED_USAGE, earned(document))
    if is_later:
        on = document.month.last_day
        yield from _entry(
            document, "accrual", on, Kind.ACCRUAL, f"Usage of {document.month}", unbilled, *taken
        )
        taken = [(_L.UNBILLED_USAGE, -unbilled[1])]
    other = list(_not_earned(document))
    owed = (_L.RECEIVABLE, document.total)
    yield from _entry(document, "invoice", issued, Kind.INVOICE, f"Invoice {number}", owed, *other, *taken)
    if document.tax:
        pairs = (_L.RECEIVABLE, document.tax), (_L.TAX, -document.tax)
        yield from _entry(document, "tax", issued, Kind.TAX, f"Tax on invoice {number}", *pairs)
    for note in document.notes:
        pairs = (_L.CREDIT_NOTES, note.amount), (stands_on(document, note.at), -note.amount)
        text = f"Credit note {note.number} on invoice {number}"
        yield from _entry(document, f"note/{note.number}", day_of(note.at), Kind.CREDIT_NOTE, text, *pairs)
    for row in document.given_back:
        pairs = (stands_on(document, row.at), row.amount), (_L.CUSTOMER_CREDIT, -row.amount)
        text = f"Given back as credit: {row.description}"
        yield from _entry(document, f"given-back/{row.id}", day_of(row.at), Kind.GIVEN_BACK, text, *pairs)
    yield from _paid(document)
    yield from _given_up(document)
    if document.voided_at is not None:
        text = f"Void of invoice {number}"
        yield from _entry(document, "void", day_of(document.voided_at), Kind.VOID, text, *_undone(document))
    for each in document.reversals:
        ledger = _L.REFUNDS if went_back_before(document, each) else _L.STRIPE_BALANCE
        pairs = (ledger, each.amount), (_L.CASH, -each.amount)
        text = f"{each.kind.capitalize()} of invoice {number}{' undone' if each.amount < 0 else ''}"
        id = f"{each.kind}/{each.id}" if each.number == 1 else f"{each.kind}/{each.id}/{each.number}"
        yield from _entry(document, id, day_of(each.at), Kind.REFUND, text, *pairs)


def credit_entries(account: str, currency: str, rows: tuple[CreditRow, ...]) -> Iterator[Entry]:
    """Credit that was granted: goodwill, a reward, what an account brought along."""
    for row in rows:
        ledger = _GRANTED.get(row.kind)
        if ledger is not None and row.amount:
            held = postings((ledger, row.amount), (_L.CUSTOMER_CREDIT, -row.amount))
            text, on = f"Credit: {row.description}", day_of(row.at)
            yield Entry(f"credit/{row.id}", on, Kind.CREDIT_GRANTED, account, currency, text, held)


def _not_earned(document: Document) -> Iterator[Pair]:
    for line in document.lines:
        if line.kind in CREDIT:
            yield _L.CUSTOMER_CREDIT, -line.amount
        elif line.kind in COMMITTED:
            yield _L.DEFERRED, -line.amount


def _paid(document: Document) -> Iterator[Entry]:
    """The first payment is the invoice's `payment`, as if there were no other."""
    number = document.number
    for each in document.payments:
        id = "payment" if each.number == 1 else f"payment/{each.number}"
        text = f"Payment of invoice {number}{' taken back' if each.amount < 0 else ''}"
        pairs = (_L.CASH, each.amount), (stands_on(document, each.at), -each.amount)
        yield from _entry(document, id, day_of(each.at), Kind.PAYMENT, text, *pairs)
    for settled in settlements(document):
        ledger = _L.TAX if document.tax and document.notes else _L.STRIPE_BALANCE
        pairs = (ledger, settled.amount), (_L.RECEIVABLE, -settled.amount)
        text = f"Rest of invoice {number}, settled at Stripe"
        yield from _entry(document, settled.id, settled.on, Kind.SETTLEMENT, text, *pairs)


def _given_up(document: Document) -> Iterator[Entry]:
    for each in write_offs(document):
        lost = (_L.BAD_DEBTS, each.lost), (_L.RECEIVABLE, -each.lost)
        text = f"Invoice {document.number} is uncollectible"
        on = day_of(each.at)
        yield from _entry(document, f"write-off/{each.place}", on, Kind.WRITE_OFF, text, *lost)
        if each.recovered_at is not None:
            back = (_L.RECEIVABLE, each.recovered), (_L.BAD_DEBTS, -each.recovered)
            text = f"Invoice {document.number} is collectible after all"
            on = day_of(each.recovered_at)
            yield from _entry(document, f"recovery/{each.place}", on, Kind.RECOVERY, text, *back)


def _undone(document: Document) -> list[Pair]:
    """All of it, as of the day of the void, whenever it was earned. What was paid of it, and did not go back
    yet, the customer has at Stripe. Credit goes by what was really returned and withdrawn: what cannot be
    withdrawn, because it was spent, stays granted."""
    back = sum(each.amount for each in document.reversals if went_back_before(document, each))
    pairs: list[Pair] = [(_L.RECEIVABLE, -document.total - document.tax), (_L.TAX, document.tax)]
    pairs += [(_L.RECEIVABLE, document.paid), (_L.STRIPE_BALANCE, back - document.paid), (_L.REFUNDS, -back)]
    for note in document.notes:
        pairs += [(_L.RECEIVABLE, note.amount), (_L.CREDIT_NOTES, -note.amount)]
    pairs += [(EARNED[line.kind], line.amount) for line in document.lines if line.kind in EARNED]
    pairs += [(_L.DEFERRED, line.amount) for line in document.lines if line.kind in COMMITTED]
    pairs += [(_L.CUSTOMER_CREDIT, -row.amount) for row in document.undone]
    return [*pairs, (_L.CREDIT_GRANTED, -sum(amount for _, amount in pairs))]


def _entry(
    document: Document, id: str, on: date, kind: Kind, description: str, *pairs: Pair
) -> Iterator[Entry]:
    """None where nothing is booked. An id without a slash is that of the invoice's one entry of its kind."""
    held = postings(*pairs)
    if held:
        yield Entry(
            id=f"{document.number}/{id}",
            on=on,
            kind=kind,
            customer=document.account,
            currency=document.currency,
            description=description,
            postings=held,
            document=document.number,
            contract=document.contract,
        )
