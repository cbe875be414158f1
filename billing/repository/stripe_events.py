"""The webhooks that were handled, by Stripe's event id."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from billing.tables import stripe_events


def seen(connection: sa.Connection, event_id: str) -> bool:
    return connection.scalar(sa.select(sa.exists().where(stripe_events.c.id == event_id))) or False


def remember(connection: sa.Connection, event_id: str, event_type: str, now: int) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"id": event_id, "type": event_type, "received_at": now}
    connection.execute(insert(stripe_events).values(**values).on_conflict_do_nothing())
