"""What is owed of an invoice, at any time, and where it stands in the books. Pure.

An uncollectible invoice is written off: from then on what is paid or credited of it lessens the loss, until
it is collected after all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from billing.revenue.facts import Document, Reversal
from billing.revenue.ledger import LedgerAccount
from metering.period import day_of, day_start

_L = LedgerAccount
GIVEN_UP = "uncollectible"


class WriteOff(NamedTuple):
    """`place`: which of the invoice's statuses it is, from 1. `lost` was given up; `recovered_at` (None: not
    yet) says when it was collectible again, or void, and `recovered` what of it was left."""

    place: int
    at: int
    lost: int
    recovered_at: int | None
    recovered: int


class Settlement(NamedTuple):
    """What is not owed any more from a day on, without being paid or credited; less than 0: it is owed back
    to nobody. `id` names its entry in the journal."""

    id: str
    on: date
    amount: int


def left_open(document: Document, on: date) -> int:
    """What a customer owed of an invoice at the end of a day, tax included; less than 0 where more was
    credited than is given back yet."""
    end = _end(on)
    is_void = document.voided_at is not None and document.voided_at <= end
    if document.issued_at > end or is_void or given_up(document, on):
        return 0
    return _balance(document, end) - sum(each.amount for each in settlements(document) if each.on <= on)


def given_up(document: Document, on: date) -> bool:
    """Whether it was uncollectible at the end of a day."""
    known = [each.status for each in document.statuses if each.at <= _end(on)]
    return bool(known) and known[-1] == GIVEN_UP


def settlements(document: Document) -> Iterator[Settlement]:
    """Of a paid invoice what was neither paid nor credited: Stripe moved it to the customer's balance there,
    or it is tax that went with a credit note. What was settled stays so: a note that is given later settles
    its own rest."""
    times = [each.at for each in document.statuses if each.status == "paid"]
    if document.status != "paid" or not times:
        return
    paid = times[-1]
    later = [note for note in document.notes if note.at > paid]
    rows = {note.number: [row for row in document.given_back if row.note == note.number] for note in later}
    others = [row for row in document.given_back if row.note not in rows]
    early = [note for note in document.notes if note.at <= paid]
    if all(note.is_settled for note in early):
        collected = sum(each.amount for each in document.payments if each.at <= paid)
        noted = sum(note.amount for note in early) - sum(row.amount for row in others)
        last = max([paid, *(row.at for row in others)])
        left = document.total + document.tax - noted - collected
        yield Settlement("settlement", day_of(last), left)
    for note in later:
        if note.is_settled:
            left = sum(row.amount for row in rows[note.number]) - note.amount
            last = max([note.at, *(row.at for row in rows[note.number])])
            yield Settlement(f"settlement/{note.number}", day_of(last), left)


def stands_on(document: Document, instant: int) -> LedgerAccount:
    """The account that a payment or a note of an instant is booked against."""
    if document.voided_at is not None and instant >= document.voided_at:
        return _L.RECEIVABLE
    status = ""
    for each in document.statuses:
        # What comes with the answer by which it is given up lessens what is given up; what comes with the
        # one by which it is collected is paid of what is owed again.
        if each.at < instant or (each.at == instant and each.status != GIVEN_UP):
            status = each.status
    return _L.BAD_DEBTS if status == GIVEN_UP else _L.RECEIVABLE


def write_offs(document: Document) -> Iterator[WriteOff]:
    """Each time it became uncollectible, and was collected or voided after all."""
    ends = [*(each.at for each in document.statuses[1:]), document.voided_at]
    for place, (status, until) in enumerate(zip(document.statuses, ends, strict=False), 1):
        if status.status == GIVEN_UP:
            left = 0 if until is None else _balance(document, max(status.at, until - 1))
            yield WriteOff(place, status.at, _balance(document, status.at), until, left)


def went_back_before(document: Document, each: Reversal) -> bool:
    """Whether money went back before the invoice became void, if it did. What goes back later was not
    revenue any more: it is of what the customer had paid of it."""
    return document.voided_at is None or each.at < document.voided_at


def _balance(document: Document, until: int) -> int:
    """Its total and tax, less what was credited and paid up to an instant."""
    noted = sum(note.amount for note in document.notes if note.at <= until)
    given_back = sum(row.amount for row in document.given_back if row.at <= until)
    paid = sum(each.amount for each in document.payments if each.at <= until)
    return document.total + document.tax - noted + given_back - paid


def _end(on: date) -> int:
    return day_start(on + timedelta(days=1)) - 1
