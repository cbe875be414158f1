"""Webhooks: a signed hint that something changed. What changed is fetched, so that their order, repetition
and lateness do not matter."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from billing.payments.state import refresh
from billing.payments.stripe_gateway import StripeGateway, read_webhook
from billing.repository import invoices, stripe_events
from metering.database import reading, writing
from metering.period import SECOND_US

Handled = Literal["applied", "repeated", "not ours"]


def receive(
    engine: sa.Engine, gateway: StripeGateway, payload: bytes, signature: str | None, secret: str, now: int
) -> Handled:
    """Take in one webhook. `now` is an instant. Raises BadSignature, or TryAgain where Stripe cannot be
    asked: answered with an error, Stripe delivers it again."""
    event = read_webhook(payload, signature, secret, now // SECOND_US)
    with reading(engine) as connection:
        if stripe_events.seen(connection, event.id):
            return "repeated"
        invoice = (
            invoices.by_stripe_id(connection, event.object_id) if event.object_type == "invoice" else None
        )
    if invoice is not None:
        refresh(engine, gateway, invoice.id, event.object_id, now)
    # Remembered after the fact: cut short before this line, the event is simply handled again.
    with writing(engine) as connection:
        stripe_events.remember(connection, event.id, event.type, now)
    return "applied" if invoice is not None else "not ours"
