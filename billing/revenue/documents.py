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
    """All that happened to an invoice; the commitment of a contract's invoice stands on DEFERRED whole."""
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
        pairs = (_L.CREDIT_NOTES, note.amount), (_L.RECEIVABLE, -note.amount)
        text = f"Credit note {note.number} on invoice {number}"
        yield from _entry(document, f"note/{note.number}", day_of(note.at), Kind.CREDIT_NOTE, text, *pairs)
    for row in document.given_back:
        pairs = (_L.RECEIVABLE, row.amount), (_L.CUSTOMER_CREDIT, -row.amount)
        text = f"Given back as credit: {row.description}"
        yield from _entry(document, f"given-back/{row.id}", day_of(row.at), Kind.GIVEN_BACK, text, *pairs)
    yield from _paid(document)
    yield from _given_up(document)
    if document.voided_at is not None:
        text = f"Void of invoice {number}"
        yield from _entry(document, "void", day_of(document.voided_at), Kind.VOID, text, *_undone(document))
    for each in document.reversals:
        pairs = (_L.REFUNDS, each.amount), (_L.CASH, -each.amount)
        text = f"{each.kind.capitalize()} of invoice {number}"
        yield from _entry(document, f"{each.kind}/{each.id}", day_of(each.at), Kind.REFUND, text, *pairs)


def credit_entries(account: str, currency: str, rows: tuple[CreditRow, ...]) -> Iterator[Entry]:
    """Credit that was granted: goodwill, a reward, what an account brought along."""
    for row in rows:
        ledger = _GRANTED.get(row.kind)
        if ledger is not None and row.amount:
            held = postings((ledger, row.amount), (_L.CUSTOMER_CREDIT, -row.amount))
            text, on = f"Credit: {row.description}", day_of(row.at)
            yield Entry(f"credit/{row.id}", on, Kind.CREDIT_GRANTED, account, currency, text, held)


def left_open(document: Document, on: date) -> int:
    """What a customer owed of an invoice at the end of a day, tax included; less than 0 where more was
    credited than is given back yet."""
    if day_of(document.issued_at) > on or _is_before(document.voided_at, on) or given_up(document, on):
        return 0
    paid = document.paid if _is_before(document.paid_at, on) else 0
    settled = settlement(document)
    return _owed(document, on) - paid - (settled[1] if settled is not None and settled[0] <= on else 0)


def given_up(document: Document, on: date) -> bool:
    """Whether it was uncollectible at the end of a day."""
    known = [each.status for each in document.statuses if day_of(each.at) <= on]
    return bool(known) and known[-1] == "uncollectible"


def settlement(document: Document) -> tuple[date, int] | None:
    """Of a paid invoice what was neither paid nor credited, and since when it is not owed: Stripe moved it
    to the customer's balance there, or it is tax that went with a credit note."""
    if document.status != "paid" or document.paid_at is None or not all(n.is_settled for n in document.notes):
        return None
    times = [
        document.paid_at,
        *(note.at for note in document.notes),
        *(row.at for row in document.given_back),
    ]
    on = day_of(max(times))
    amount = _owed(document, on) - document.paid
    return (on, amount) if amount else None


def _owed(document: Document, on: date) -> int:
    noted = sum(note.amount for note in document.notes if day_of(note.at) <= on)
    given_back = sum(row.amount for row in document.given_back if day_of(row.at) <= on)
    return document.total + document.tax - noted + given_back


def _not_earned(document: Document) -> Iterator[Pair]:
    for line in document.lines:
        if line.kind in CREDIT:
            yield _L.CUSTOMER_CREDIT, -line.amount
        elif line.kind in COMMITTED:
            yield _L.DEFERRED, -line.amount


def _paid(document: Document) -> Iterator[Entry]:
    if document.paid_at is None:
        return
    number = document.number
    pairs = (_L.CASH, document.paid), (_L.RECEIVABLE, -document.paid)
    on = day_of(document.paid_at)
    yield from _entry(document, "payment", on, Kind.PAYMENT, f"Payment of invoice {number}", *pairs)
    settled = settlement(document)
    if settled is not None:
        ledger = _L.TAX if document.tax and document.notes else _L.STRIPE_BALANCE
        pairs = (ledger, settled[1]), (_L.RECEIVABLE, -settled[1])
        text = f"Rest of invoice {number}, settled at Stripe"
        yield from _entry(document, "settlement", settled[0], Kind.SETTLEMENT, text, *pairs)


def _given_up(document: Document) -> Iterator[Entry]:
    """Each time it became uncollectible, and was collected or voided after all."""
    ends = [*document.statuses[1:], None]
    for place, (status, after) in enumerate(zip(document.statuses, ends, strict=False), 1):
        if status.status != "uncollectible":
            continue
        on = day_of(status.at)
        pairs = (_L.BAD_DEBTS, _owed(document, on)), (_L.RECEIVABLE, -_owed(document, on))
        text = f"Invoice {document.number} is uncollectible"
        yield from _entry(document, f"write-off/{place}", on, Kind.WRITE_OFF, text, *pairs)
        until = document.voided_at if after is None else after.at
        if until is not None:
            back = tuple((ledger, -amount) for ledger, amount in pairs)
            text = f"Invoice {document.number} is collectible after all"
            yield from _entry(document, f"recovery/{place}", day_of(until), Kind.RECOVERY, text, *back)


def _undone(document: Document) -> list[Pair]:
    """All of it, as of the day of the void, whenever it was earned. Credit goes by what was really returned
    and withdrawn: what cannot be withdrawn, because it was spent, stays granted."""
    pairs: list[Pair] = [(_L.RECEIVABLE, -document.total - document.tax), (_L.TAX, document.tax)]
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


def _is_before(instant: int | None, on: date) -> bool:
    return instant is not None and day_of(instant) <= on
