"""What Stripe holds, in our own words: plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StripeLine:
    """A line as Stripe has it; `amount` in minor units."""

    description: str
    amount: int


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice as Stripe has it. Amounts in minor units; `currency` in capitals; `invoice_id` is ours, from
    the metadata, where it is there."""

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


@dataclass(frozen=True, slots=True)
class StripeCreditNote:
    """A credit note as Stripe has it, in minor units: `reduced` is what it took off what was due,
    `given_back` what was paid before and is credited outside of Stripe."""

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
