"""What Stripe holds, in our own words: plain values, and how they are read from the SDK's objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

RecordKind = Literal["credit_note", "refund", "dispute"]


@dataclass(frozen=True, slots=True)
class StripeLine:
    """A line as Stripe has it; `amount` in minor units."""

    description: str
    amount: int


@dataclass(frozen=True, slots=True)
class StripeCollection:
    """How far Stripe is with collecting an invoice: `amount_due` in minor units, tax included; times in unix
    seconds. `attempts` were made so far; the next is at `next_attempt_at`, None where Stripe makes none by
    itself. `finalization_error` says why Stripe could not finalize it."""

    amount_due: int = 0
    attempts: int = 0
    next_attempt_at: int | None = None
    due_at: int | None = None
    finalization_error: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentFailure:
    """Why a payment did not go through; `action` where the customer has to do something for it."""

    message: str
    action: bool


@dataclass(frozen=True, slots=True)
class StripeRecord:
    """Something that Stripe has beside an invoice: a credit note, a refund, a dispute. `amount` in minor
    units, `created` in unix seconds; `ours` is the id of our credit note, where it stands for one."""

    id: str
    kind: RecordKind
    amount: int
    currency: str
    status: str
    reason: str
    created: int
    ours: str | None = None


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice as Stripe has it. Amounts in minor units; `currency` in capitals; `invoice_id` is ours, from
    the metadata, where it is there; `lines` are all its lines, None where there are more than the answer
    holds. `created` in unix seconds; `credited` is what its credit notes come to; `ignored`: its metadata
    tells reconciliation to leave it alone. `tax` is what Stripe adds to the total; what is paid and remains
    has it in it. `automatic_tax`: Stripe computes it."""

    id: str
    status: str
    number: str | None
    currency: str
    total_excluding_tax: int
    amount_paid: int
    amount_remaining: int
    charge_automatically: bool
    invoice_id: str | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None
    lines: tuple[StripeLine, ...] | None = None
    collection: StripeCollection = field(default_factory=StripeCollection)
    customer: str | None = None
    created: int = 0
    credited: int = 0
    ignored: bool = False
    tax: int = 0
    automatic_tax: bool = False


@dataclass(frozen=True, slots=True)
class StripeCustomer:
    """A customer as Stripe has it; `account` is ours, from the metadata, where it is there."""

    id: str
    deleted: bool
    account: str | None


@dataclass(frozen=True, slots=True)
class StripeCreditNote:
    """A credit note as Stripe has it, in minor units: `reduced` is what it took off what was due,
    `given_back` what was paid before and is credited outside of Stripe. What Stripe itself gave back is in
    neither."""

    id: str
    reduced: int
    given_back: int


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook says has changed: never its new state, which is fetched. `invoice` and `payment_intent`
    are the ids of those that the object belongs to, which never change."""

    id: str
    type: str
    object_id: str
    object_type: str
    invoice: str | None = None
    payment_intent: str | None = None


def metadata_of(found: Any) -> dict[str, str]:
    return dict(found.metadata.to_dict()) if found.metadata else {}


def line_of(found: Any) -> StripeLine:
    return StripeLine(found.description or "", found.amount)


def invoice_of(found: Any) -> StripeInvoice:
    total = found.total_excluding_tax
    return StripeInvoice(
        id=found.id,
        status=found.status or "draft",
        number=found.number,
        currency=found.currency.upper(),
        total_excluding_tax=found.total if total is None else total,
        amount_paid=found.amount_paid,
        amount_remaining=found.amount_remaining,
        charge_automatically=found.collection_method == "charge_automatically",
        invoice_id=metadata_of(found).get("invoice_id"),
        hosted_invoice_url=found.hosted_invoice_url,
        invoice_pdf=found.invoice_pdf,
        lines=None if found.lines.has_more else tuple(line_of(each) for each in found.lines.data),
        collection=StripeCollection(
            amount_due=found.amount_due,
            attempts=found.attempt_count,
            next_attempt_at=found.next_payment_attempt,
            due_at=found.due_date,
            finalization_error=_message_of(found.last_finalization_error),
        ),
        customer=found.customer if isinstance(found.customer, str) else None,
        created=found.created,
        credited=found.pre_payment_credit_notes_amount + found.post_payment_credit_notes_amount,
        ignored=metadata_of(found).get("reconcile") == "ignore",
        tax=0 if total is None else found.total - total,
        automatic_tax=bool(found.automatic_tax.enabled),
    )


def failure_of(intent: Any) -> PaymentFailure | None:
    """Why a payment intent is not paid; None where nothing was tried, or it is."""
    action = intent.status == "requires_action"
    message = _message_of(intent.last_payment_error)
    if message is None and not action:
        return None
    return PaymentFailure(message or "the customer has to confirm the payment", action)


def refund_of(found: Any) -> StripeRecord:
    return _record(found, "refund", found.status or "succeeded", found.reason)


def dispute_of(found: Any) -> StripeRecord:
    return _record(found, "dispute", found.status, found.reason)


def noted_of(found: Any) -> StripeRecord:
    """A credit note, as a record."""
    return _record(found, "credit_note", found.status, found.memo, metadata_of(found).get("credit_note_id"))


def _record(
    found: Any, kind: RecordKind, status: str, reason: str | None, ours: str | None = None
) -> StripeRecord:
    currency = found.currency.upper()
    return StripeRecord(found.id, kind, found.amount, currency, status, reason or "", found.created, ours)


def _message_of(error: Any) -> str | None:
    return None if not error else " ".join(str(error.message or error.code or "no reason given").split())


def customer_of(found: Any) -> StripeCustomer:
    """A deleted customer has nothing but its id."""
    if getattr(found, "deleted", False):
        return StripeCustomer(found.id, True, None)
    return StripeCustomer(found.id, False, metadata_of(found).get("account"))


def credit_note_of(found: Any) -> StripeCreditNote:
    return StripeCreditNote(found.id, found.pre_payment_amount, found.out_of_band_amount or 0)
