"""The delivery log, the same for every door."""

from __future__ import annotations

import json

import sqlalchemy as sa

from billing.errors import Invalid
from billing.notifications.sending import show_delivery
from billing.repository import notifications
from billing.repository.lists import WHOLE, Page
from billing.repository.notifications import ALL, Delivery, Wanted
from metering.database import reading
from metering.period import format_instant, format_optional

STATUSES = ("pending", "delivered", "failed")


def list_deliveries(engine: sa.Engine, wanted: Wanted = ALL, page: Page = WHOLE) -> list[Delivery]:
    """Raises Invalid for a status there is not."""
    if wanted.status is not None and wanted.status not in STATUSES:
        raise Invalid(f"status {wanted.status!r} is not one of {', '.join(STATUSES)}", field="status")
    with reading(engine) as connection:
        return notifications.search(connection, wanted, page)


def delivery_shown(engine: sa.Engine, delivery_id: str, *, account: str | None = None) -> dict[str, object]:
    """A delivery in the shape of JSON answers, with what is sent; of one account only, where given. Raises
    NotFound."""
    delivery = show_delivery(engine, delivery_id, account=account)
    with reading(engine) as connection:
        body = notifications.event(connection, delivery.event).body
    return delivery_data(delivery) | {"body": json.loads(body)}


def delivery_data(delivery: Delivery) -> dict[str, object]:
    """A delivery in the shape of JSON answers; `event` is the `webhook-id`."""
    pending = delivery.status == "pending"
    return {
        "id": delivery.id,
        "event": delivery.event,
        "type": delivery.type,
        "channel": delivery.channel,
        "target": delivery.target,
        "account": delivery.account,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "created_at": format_instant(delivery.created_at),
        "last_attempt_at": format_optional(delivery.last_attempt_at),
        "next_attempt_at": format_instant(delivery.next_attempt_at) if pending else None,
        "delivered_at": format_optional(delivery.delivered_at),
        "response_status": delivery.response_status,
        "response": delivery.response,
        "error": delivery.error,
    }
