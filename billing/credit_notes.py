"""Credit notes: documents that reduce an issued invoice (docs/rules.md §5, 4; §6; §7).

A note is in our books at once. At Stripe it takes down what is due; what was paid already becomes account
credit, once Stripe has the note. An invoice that Stripe does not have yet is sent first, and its notes after
it.
"""

from __future__ import annotations

import re

import sqlalchemy as sa

from billing.audit.trail import change
from billing.credits import positive_amount
from billing.errors import Invalid, NotFound, Refused
from billing.ids import new_id
from billing.invoices import credit_note_data
from billing.pricing.money import format_amount
from billing.repository import accounts, credit_notes, invoices, outbox
from billing.repository.credit_notes import KINDS, CreditNote
from billing.repository.invoices import Invoice
from billing.voids import check_reason, lock_invoice
from metering.database import reading, writing

_STRIPE_NOTE = re.compile(r"cn_[A-Za-z0-9_]{1,250}", re.ASCII).fullmatch

# What whoever gives a note of kind `usage` should know.
BILLED_AGAIN = (
    "less is billed now for {month}, and the next billing run of {account} bills it again, unless the task "
    "runs stop counting too: reverse them (billing correct {account} RUN… reverse), or give a note of kind "
    "goodwill"
)


def credit_note(
    engine: sa.Engine,
    id_or_number: str,
    amount: str,
    kind: str,
    reason: str,
    *,
    by: str,
    now: int,
    stripe_note: str | None = None,
) -> CreditNote:
    """Give a credit note; `amount` in major units, at most what is left of the invoice's total. Kind `usage`
    says that less was billed for the month; `goodwill` does not. `stripe_note` is the id of one that was
    given at Stripe by hand already: none is given there then. Raises NotFound, Invalid, or Refused for an
    invoice that cannot be credited."""
    check_reason(reason)
    if stripe_note is not None and _STRIPE_NOTE(stripe_note) is None:
        raise Invalid(
            f"{stripe_note!r} is no credit note of Stripe's; give its id, such as cn_1234",
            field="stripe_note",
        )
    if kind not in KINDS:
        raise Invalid(f"kind {kind!r} is not one of {', '.join(KINDS)}", field="kind")
    with writing(engine) as connection:
        invoice = lock_invoice(connection, id_or_number)
        _check(connection, invoice, kind)
        minor = positive_amount(amount, invoice.currency, "amount")
        left = invoice.total - sum(each.amount for each in credit_notes.of_invoice(connection, invoice.id))
        if minor > left:
            raise Refused(
                f"invoice {invoice.number} has {format_amount(left, invoice.currency)} left to credit; "
                "give a smaller amount",
                field="amount",
            )
        entry = accounts.next_entry(connection, invoice.account)
        assert entry is not None
        note = CreditNote(
            new_id("cn", now), "", invoice.id, invoice.account, entry, kind, minor, reason, by, now
        )
        with change(
            connection,
            "invoice.credited",
            "invoice",
            invoice.id,
            now=now,
            by=by,
            account=invoice.account,
            reason=reason,
        ):
            note = credit_notes.add(connection, note)
        if stripe_note is not None:
            _adopt(connection, note, stripe_note)
        outbox.add_credit_note(connection, note.id, invoice.id, now)
    return note


def _adopt(connection: sa.Connection, note: CreditNote, stripe_note: str) -> None:
    held = credit_notes.by_stripe_id(connection, stripe_note)
    if held is not None:
        raise Refused(f"{stripe_note} is credit note {held.number} here already", field="stripe_note")
    credit_notes.set_stripe_id(connection, note.id, stripe_note)


def show_credit_note(engine: sa.Engine, note_id: str) -> dict[str, object]:
    """A credit note in the shape of JSON answers, with how far it is at Stripe."""
    with reading(engine) as connection:
        note = credit_notes.get(connection, note_id)
        intent = outbox.get(connection, note_id)
    if note is None:
        raise NotFound(f"there is no credit note {note_id!r}; see: billing invoices show ID")
    return credit_note_data(note, intent)


def warning(engine: sa.Engine, note: CreditNote) -> str | None:
    """What to tell whoever gave a note of kind `usage`."""
    if note.kind != "usage":
        return None
    with reading(engine) as connection:
        invoice = invoices.get(connection, note.invoice_id)
    assert invoice is not None
    return BILLED_AGAIN.format(month=invoice.month, account=invoice.account)


def _check(connection: sa.Connection, invoice: Invoice, kind: str) -> None:
    """Raises Refused for an invoice that cannot be credited, Invalid for a kind that it cannot have."""
    name = invoice.number or invoice.id
    if invoice.status == "draft":
        raise Refused(f"invoice {name} is a draft: nothing is owed yet that could be credited")
    if invoice.status == "void":
        raise Refused(f"invoice {name} is void: nothing is owed that could be credited")
    if not invoice.total:
        raise Refused(f"invoice {name} has a total of zero: there is nothing to credit")
    void = outbox.get(connection, outbox.void_id(invoice.id))
    if void is not None and void.status == "pending":
        raise Refused(f"invoice {name} is about to be void; see: billing invoices show {name}")
    if invoice.kind == "contract" and kind == "usage":
        raise Invalid(
            f"invoice {name} is for a contract and bills no usage; give a note of kind goodwill", field="kind"
        )
