"""What Stripe holds, in our own words: plain values, and how they are read from the SDK's objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StripeLine:
    """A line as Stripe has it; `amount` in minor units."""

    description: str
    amount: int


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice as Stripe has it. Amounts in minor units; `currency` in capitals; `invoice_id` is ours, from
    the metadata, where it is there; `lines` are all its lines, None where there are more than the answer
    holds. `tax` is what Stripe adds to the total; what is paid and remains has it in it. `automatic_tax`:
    Stripe computes it."""

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
    """What a webhook says has changed: never its new state, which is fetched."""

    id: str
    type: str
    object_id: str
    object_type: str


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
        tax=0 if total is None else found.total - total,
        automatic_tax=bool(found.automatic_tax.enabled),
    )


def customer_of(found: Any) -> StripeCustomer:
    """A deleted customer has nothing but its id."""
    if getattr(found, "deleted", False):
        return StripeCustomer(found.id, True, None)
    return StripeCustomer(found.id, False, metadata_of(found).get("account"))


def credit_note_of(found: Any) -> StripeCreditNote:
    return StripeCreditNote(found.id, found.pre_payment_amount, found.out_of_band_amount or 0)
