"""Takes over the state that Stripe has of an invoice.

Answers may overtake one another: one that was asked for before another was stored is asked for again, so that
what is stored is always the newest. An invoice that Stripe has voided, whoever asked it to, is void here with
all that this undoes (`billing/voids.py`); nothing brings it back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from billing.audit.trail import change
from billing.notifications.telling import tell_invoices, tell_payment_failed
from billing.payments.errors import NeedsOperator, TryAgain
from billing.repository import collection, invoices, outbox
from billing.repository.collection import Collection, Record
from billing.repository.invoices import Invoice
from billing.voids import lock_invoice, make_void
from metering.database import reading, writing
from metering.period import SECOND_US

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway
    from billing.payments.stripe_objects import PaymentFailure, StripeInvoice, StripeRecord

log = structlog.get_logger()

# Stripe's status → ours. A draft at Stripe is still only finalized here.
_STATUS = {
    "draft": "finalized",
    "open": "open",
    "paid": "paid",
    "void": "void",
    "uncollectible": "uncollectible",
}

# Of a void that was not asked for here.
STRIPE = "Stripe"
VOIDED_THERE = "voided at Stripe"
# Within a process one thread at a time fetches an invoice: what they fetched would overtake one another.
_TURNS = tuple(threading.Lock() for _ in range(64))
# How often an answer is asked for anew because another was stored meanwhile.
ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Aspects:
    """What is fetched beside the invoice itself."""

    credit_notes: bool = False
    reversals: bool = False


NOTHING_MORE = Aspects()
EVERYTHING = Aspects(credit_notes=True, reversals=True)


def refresh(
    engine: sa.Engine,
    gateway: StripeGateway,
    invoice_id: str,
    stripe_id: str,
    now: int,
    aspects: Aspects = NOTHING_MORE,
) -> None:
    """Fetch what Stripe has of an invoice and store it. Raises PaymentError."""
    with _TURNS[hash(invoice_id) % len(_TURNS)]:
        _refresh(engine, gateway, invoice_id, stripe_id, now, aspects)


def _refresh(
    engine: sa.Engine, gateway: StripeGateway, invoice_id: str, stripe_id: str, now: int, aspects: Aspects
) -> None:
    for _ in range(ATTEMPTS):
        seen = version(engine, invoice_id)
        held = gateway.get_invoice(stripe_id)
        tried = held.status in ("open", "uncollectible") and held.collection.attempts
        failure = _failure(gateway, stripe_id) if tried else None
        records = gateway.credit_notes_of(stripe_id) if aspects.credit_notes else []
        records += gateway.reversals(stripe_id) if aspects.reversals else []
        if apply(engine, invoice_id, held, now, seen=seen, failure=failure, records=records):
            return
    raise TryAgain(f"Stripe's state of invoice {invoice_id} changes all the time")


def _failure(gateway: StripeGateway, stripe_id: str) -> PaymentFailure | None:
    """A key that may not read payments does not keep the rest from being known."""
    try:
        return gateway.payment_failure(stripe_id)
    except NeedsOperator as error:
        log.warning("why a payment failed is not known", invoice=stripe_id, error=str(error))
        return None


def version(engine: sa.Engine, invoice_id: str) -> int:
    """To be read before Stripe is asked, and given to `apply` with the answer."""
    with reading(engine) as connection:
        return collection.version(connection, invoice_id)


def apply(
    engine: sa.Engine,
    invoice_id: str,
    held: StripeInvoice,
    now: int,
    *,
    seen: int,
    failure: PaymentFailure | None = None,
    records: list[StripeRecord] | None = None,
) -> bool:
    """Store what Stripe answered, if nothing was stored since version `seen`; else False, and the answer may
    be an old one."""
    with writing(engine) as connection:
        invoice = lock_invoice(connection, invoice_id)
        if collection.version(connection, invoice_id) != seen:
            return False
        before = collection.get(connection, invoice_id)
        collection.put(connection, invoice_id, _collection(held, failure, now))
        collection.put_records(connection, invoice_id, map(_record, records or ()), now)
        if invoice.status == "void":
            return True
        invoices.update(
            connection,
            invoice_id,
            stripe_invoice_id=held.id,
            stripe_status=held.status,
            hosted_invoice_url=held.hosted_invoice_url,
            invoice_pdf=held.invoice_pdf,
        )
        status = _STATUS[held.status]
        if status in ("open", "paid") and invoice.status == "finalized" and _is_another(held, invoice):
            # Finalized there by hand before it was ours to the cent: its state is not that of our invoice.
            return True
        collection.note_payment(connection, invoice_id, held.amount_paid, now)
        if status != "void":
            with change(
                connection,
                f"invoice.{status}",
                "invoice",
                invoice_id,
                now=now,
                by=STRIPE,
                account=invoice.account,
            ):
                invoices.update(connection, invoice_id, status=status)
            _tell(connection, invoice, status, before, failure, now)
            return True
        asked = outbox.get(connection, outbox.void_id(invoice_id))
        by, reason = (asked.author, asked.reason) if asked is not None else (None, None)
        make_void(connection, invoice_id, by=by or STRIPE, reason=reason or VOIDED_THERE, now=now)
        return True


def _tell(
    connection: sa.Connection,
    before: Invoice,
    status: str,
    collected: Collection | None,
    failure: PaymentFailure | None,
    now: int,
) -> None:
    """Tell of what the stored answer of Stripe's has changed: it is paid now, or another attempt failed."""
    is_paid = status == "paid" and before.status != "paid"
    after = collection.get(connection, before.id)
    # An attempt may be stored before it is known why it failed: then it was not told of.
    known = 0 if collected is None or collected.failure is None else collected.attempts
    has_failed = failure is not None and after is not None and after.attempts > known
    if not is_paid and not has_failed:
        return
    invoice = invoices.get(connection, before.id)
    assert invoice is not None, "it was stored just now"
    if is_paid:
        tell_invoices(connection, "paid", [invoice], now)
    if failure is not None and after is not None and has_failed:
        tell_payment_failed(connection, invoice, after.attempts, failure.message, now)


def _is_another(held: StripeInvoice, invoice: Invoice) -> bool:
    return (held.total_excluding_tax, held.currency) != (invoice.total, invoice.currency)


def _collection(held: StripeInvoice, failure: PaymentFailure | None, now: int) -> Collection:
    of = held.collection
    return Collection(
        amount_due=of.amount_due,
        amount_remaining=held.amount_remaining,
        charge_automatically=held.charge_automatically,
        attempts=of.attempts,
        next_attempt_at=_instant(of.next_attempt_at),
        due_at=_instant(of.due_at),
        failure=None if failure is None else failure.message,
        action_required=failure is not None and failure.action,
        finalization_error=of.finalization_error if held.status == "draft" else None,
        fetched_at=now,
        tax=held.tax,
    )


def _record(found: StripeRecord) -> Record:
    return Record(
        found.id,
        found.kind,
        found.amount,
        found.currency,
        found.status,
        found.reason,
        found.created * SECOND_US,
        found.ours,
    )


def _instant(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * SECOND_US
