"""Gives a credit note at Stripe for one of ours. It takes down what is due; what of it was paid before is
credited outside of Stripe, which is account credit in our ledger (docs/rules.md §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.audit.trail import change
from billing.credits import grant_credit
from billing.payments.desk import Desk, go_on
from billing.payments.errors import Answered, NeedsOperator
from billing.payments.state import refresh
from billing.pricing.money import format_amount
from billing.repository import accounts, credit_notes, outbox
from billing.repository.credit_notes import CreditNote
from billing.repository.credits import GIVEN_BACK, CreditKind
from billing.repository.invoices import Invoice
from billing.repository.outbox import Intent
from metering.database import reading, writing

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway
    from billing.payments.stripe_objects import StripeCreditNote


def step(desk: Desk, intent: Intent, invoice: Invoice) -> Intent | None:
    """Give the note there, then write down here what came of it. Raises PaymentError."""
    assert intent.credit_note_id is not None
    assert invoice.stripe_invoice_id is not None, "the invoice was sent before"
    with reading(desk.engine) as connection:
        note = credit_notes.get(connection, intent.credit_note_id)
    assert note is not None
    stripe_id = invoice.stripe_invoice_id
    held = _held(desk, intent, invoice, note)
    if held is None:
        held = _create(desk, invoice, note, f"credit_note:{note.id}:{intent.generation}")
    refresh(desk.engine, desk.gateway, invoice.id, stripe_id, desk.clock())
    _write_down(desk, intent, note, held)
    return desk.intent(intent.id)


def _held(desk: Desk, intent: Intent, invoice: Invoice, note: CreditNote) -> StripeCreditNote | None:
    """The one that Stripe has already, made by an earlier attempt or by hand."""
    if note.stripe_credit_note_id is not None:
        return _adopted(desk, invoice, note, note.stripe_credit_note_id)
    if not intent.step_since:
        return None
    return desk.gateway.find_credit_note(invoice.stripe_invoice_id or "", note.id)


def _adopted(desk: Desk, invoice: Invoice, note: CreditNote, stripe_note: str) -> StripeCreditNote:
    """The one that somebody gave at Stripe by hand, and that ours stands for."""
    wrong = not_the_same(desk.gateway, invoice, stripe_note, note.amount)
    if wrong is not None:
        raise NeedsOperator(f"{wrong}; put it right at Stripe, then: {go_on(invoice)}")
    return desk.gateway.get_credit_note(stripe_note)


def not_the_same(gateway: StripeGateway, invoice: Invoice, stripe_note: str, amount: int) -> str | None:
    """Why a credit note at Stripe is not one of `amount` off an invoice; None: it is. Raises PaymentError."""
    listed = gateway.credit_notes_of(invoice.stripe_invoice_id) if invoice.stripe_invoice_id else []
    given = next((each for each in listed if each.id == stripe_note), None)
    if given is None:
        return f"invoice {invoice.number} has no credit note {stripe_note} at Stripe"
    if given.status != "issued":
        return f"credit note {stripe_note} is {given.status} at Stripe"
    if given.amount != amount:
        held = format_amount(given.amount, given.currency)
        return (
            f"credit note {stripe_note} is of {held} at Stripe, not {format_amount(amount, invoice.currency)}"
        )
    return None


def _create(desk: Desk, invoice: Invoice, note: CreditNote, key: str) -> StripeCreditNote:
    stripe_id = invoice.stripe_invoice_id or ""
    before = desk.gateway.get_invoice(stripe_id)
    if before.tax:
        raise _taxed(invoice, note)
    due = before.amount_remaining
    try:
        return desk.gateway.create_credit_note(
            stripe_id,
            note,
            given_back=max(note.amount - due, 0),
            key=key,
        )
    except NeedsOperator as error:
        if desk.gateway.get_invoice(stripe_id).amount_remaining == due:
            raise
        raise Answered(f"the invoice was paid meanwhile ({error})") from error


def _taxed(invoice: Invoice, note: CreditNote) -> NeedsOperator:
    """How much tax a note gives back is decided by law and by Stripe, not by us."""
    amount = format_amount(note.amount, invoice.currency)
    return NeedsOperator(
        f"invoice {invoice.number} has tax at Stripe, which a credit note gives back in part: give one of "
        f"{amount} before tax at Stripe, with the metadata credit_note_id = {note.id}, then: {go_on(invoice)}"
    )


def _write_down(desk: Desk, intent: Intent, note: CreditNote, held: StripeCreditNote) -> None:
    """Once: the intent is done in the same transaction."""
    now = desk.clock()
    with writing(desk.engine) as connection:
        accounts.lock(connection, note.account)
        if not outbox.finish(connection, intent.id):
            return
        credit_notes.set_stripe_id(connection, note.id, held.id)
        # Tax that was given back with it is none of our credit.
        given_back = min(held.given_back, note.amount)
        if not given_back:
            return
        with change(
            connection,
            "invoice.credit_given",
            "invoice",
            note.invoice_id,
            now=now,
            by=note.author,
            account=note.account,
            reason=note.reason,
        ):
            grant_credit(
                connection,
                note.account,
                CreditKind.CREDIT_NOTE,
                given_back,
                f"{GIVEN_BACK}{note.number}",
                by=note.author,
                now=now,
                invoice_id=note.invoice_id,
            )
