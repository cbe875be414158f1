"""The events of Stripe that were handled, by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.stripe_tables import stripe_events
from metering.database import insert_into

if TYPE_CHECKING:
    from billing.payments.stripe_objects import WebhookEvent


def seen(connection: sa.Connection, event_id: str) -> bool:
    return connection.scalar(sa.select(sa.exists().where(stripe_events.c.id == event_id))) or False


def remember(connection: sa.Connection, events: Sequence[WebhookEvent], now: int) -> None:
    rows = [{"id": event.id, "type": event.type, "received_at": now} for event in events]
    if rows:
        connection.execute(insert_into(connection, stripe_events).on_conflict_do_nothing(), rows)


def forget_before(connection: sa.Connection, instant: int) -> None:
    """Stripe does not repeat them any more."""
    connection.execute(stripe_events.delete().where(stripe_events.c.received_at < instant))
