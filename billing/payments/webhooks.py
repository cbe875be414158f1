"""Webhooks: a signed hint that something changed. What changed is fetched, so that their order, repetition
and lateness do not matter. Those that were lost are found in Stripe's list of events (`catch_up`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

import sqlalchemy as sa

from billing.payments.errors import Missing
from billing.payments.state import Aspects, refresh
from billing.payments.stripe_gateway import StripeGateway, read_webhook
from billing.payments.stripe_objects import WebhookEvent
from billing.repository import invoices, stripe_events
from metering.database import reading, writing
from metering.period import DAY_US, SECOND_US

Handled = Literal["applied", "repeated", "not ours"]

# What Stripe is to be told to send (docs/stripe.md), and what is asked for where webhooks may be missing.
INVOICE_EVENTS = (
    "invoice.deleted",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.updated",
    "invoice.voided",
)
CREDIT_NOTE_EVENTS = ("credit_note.created", "credit_note.updated", "credit_note.voided")
REVERSAL_EVENTS = (
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.refunded",
    "refund.created",
    "refund.failed",
    "refund.updated",
)
EVENTS = (*INVOICE_EVENTS, *CREDIT_NOTE_EVENTS, *REVERSAL_EVENTS)

# Stripe keeps events for 30 days, and repeats a webhook by hand for as long.
KEPT_AT_STRIPE_US = 30 * DAY_US
REMEMBERED_US = 90 * DAY_US
# So many events are looked at together: an invoice has several, and is fetched once.
TOGETHER = 500


@dataclass(frozen=True, slots=True)
class _Target:
    """An invoice of ours that an event is about, and what of it may have changed."""

    invoice_id: str
    stripe_id: str
    aspects: Aspects


def receive(
    engine: sa.Engine,
    gateway: StripeGateway,
    payload: bytes,
    signature: str | None,
    secrets: Sequence[str],
    now: int,
) -> Handled:
    """Take in one webhook. `now` is an instant. Raises BadWebhook, or TryAgain where Stripe cannot be asked:
    answered with an error, Stripe delivers it again."""
    event = read_webhook(payload, signature, secrets, now // SECOND_US)
    with reading(engine) as connection:
        if stripe_events.seen(connection, event.id):
            return "repeated"
    targets = _targets(engine, gateway, event)
    for target in targets:
        _refresh(engine, gateway, target, now)
    # Remembered after the fact: cut short before this line, the event is simply handled again.
    with writing(engine) as connection:
        stripe_events.remember(connection, [event], now)
    return "applied" if targets else "not ours"


def catch_up(engine: sa.Engine, gateway: StripeGateway, since: int, now: int) -> int:
    """Take in the events since an instant that no webhook told of. Answers how many concerned us. Raises
    PaymentError."""
    begin = max(since, now - KEPT_AT_STRIPE_US) // SECOND_US
    found = 0
    for events in _batches(gateway.events_since(begin, EVENTS)):
        with reading(engine) as connection:
            fresh = [event for event in events if not stripe_events.seen(connection, event.id)]
        concerning = {event.id: _targets(engine, gateway, event) for event in fresh}
        for target in _merged(chain.from_iterable(concerning.values())):
            _refresh(engine, gateway, target, now)
        with writing(engine) as connection:
            stripe_events.remember(connection, fresh, now)
        found += sum(1 for targets in concerning.values() if targets)
    return found


def _batches(events: Iterator[WebhookEvent]) -> Iterator[list[WebhookEvent]]:
    while batch := list(islice(events, TOGETHER)):
        yield batch


def _targets(engine: sa.Engine, gateway: StripeGateway, event: WebhookEvent) -> list[_Target]:
    aspects = Aspects(credit_notes=event.type in CREDIT_NOTE_EVENTS, reversals=event.type in REVERSAL_EVENTS)
    if event.object_type == "invoice":
        ids = [event.object_id]
    elif aspects.reversals and event.payment_intent is not None:
        ids = gateway.invoices_paid_by(event.payment_intent)
    else:
        ids = [event.invoice] if event.invoice is not None else []
    with reading(engine) as connection:
        ours = [(invoices.by_stripe_id(connection, stripe_id), stripe_id) for stripe_id in ids]
    return [_Target(invoice.id, stripe_id, aspects) for invoice, stripe_id in ours if invoice is not None]


def _merged(targets: chain[_Target]) -> list[_Target]:
    """Each invoice once, with all that may have changed."""
    merged: dict[str, _Target] = {}
    for each in targets:
        held = merged.get(each.invoice_id)
        before = Aspects() if held is None else held.aspects
        aspects = Aspects(
            each.aspects.credit_notes or before.credit_notes, each.aspects.reversals or before.reversals
        )
        merged[each.invoice_id] = _Target(each.invoice_id, each.stripe_id, aspects)
    return list(merged.values())


def _refresh(engine: sa.Engine, gateway: StripeGateway, target: _Target, now: int) -> None:
    try:
        refresh(engine, gateway, target.invoice_id, target.stripe_id, now, target.aspects)
    except Missing:
        # A draft that was deleted there: the outbox finds that out, and makes it anew.
        return
