"""Events that others are to be told of, and how far each delivery of them is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.notification_tables import deliveries, events, webhook_endpoints
from billing.repository.due import has_come
from billing.repository.lists import WHOLE, Page, having, page_of
from metering.database import insert_into
from metering.period import DAY_US, HOUR_US, MINUTE_US

# Who has claimed a delivery and was killed is waited for so long.
CLAIM_US = 2 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Event:
    """`key` says what it tells of: of two events with one key the first is kept. `body` is the JSON that is
    sent; `mail`: whether it may go by mail too."""

    id: str
    key: str
    type: str
    account: str | None
    body: str
    created_at: int
    mail: bool = True


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a target: an endpoint's id, or an e-mail address. `account` is whose target it
    is, None: the operator's. `status` is pending, delivered, or failed: given up."""

    id: str
    event: str
    type: str
    channel: str
    target: str
    endpoint: str | None
    account: str | None
    status: str
    attempts: int
    next_attempt_at: int
    created_at: int
    last_attempt_at: int | None = None
    delivered_at: int | None = None
    response_status: int | None = None
    response: str | None = None
    error: str | None = None


class Wanted(NamedTuple):
    """Which deliveries: to an endpoint; to an account's own endpoints and address; in a status."""

    endpoint: str | None = None
    account: str | None = None
    status: str | None = None


ALL = Wanted()


def add_events(connection: sa.Connection, found: Iterable[Event]) -> None:
    """Keep events, but those whose key is kept already."""
    rows = [
        {
            "id": each.id,
            "key": each.key,
            "type": each.type,
            "account_id": each.account,
            "body": each.body,
            "mail": each.mail,
            "told": False,
            "created_at": each.created_at,
        }
        for each in found
    ]
    if rows:
        connection.execute(insert_into(connection, events).on_conflict_do_nothing(), rows)


def untold(connection: sa.Connection, limit: int) -> list[Event]:
    """Events of which no deliveries were made yet, oldest first; nobody else makes them meanwhile."""
    query = sa.select(events).where(events.c.told.is_(False)).order_by(events.c.id).limit(limit)
    return [_event(row) for row in connection.execute(query.with_for_update(skip_locked=True))]


def mark_told(connection: sa.Connection, ids: Sequence[str]) -> None:
    connection.execute(events.update().where(events.c.id.in_(list(ids))).values(told=True))


def event(connection: sa.Connection, event_id: str) -> Event:
    return _event(connection.execute(sa.select(events).where(events.c.id == event_id)).one())


def add_deliveries(connection: sa.Connection, found: Iterable[Delivery]) -> None:
    """Keep deliveries; an event goes to a target once."""
    rows = [
        {
            "id": each.id,
            "event_id": each.event,
            "channel": each.channel,
            "target": each.target,
            "endpoint_id": each.endpoint,
            "account_id": each.account,
            "status": each.status,
            "attempts": each.attempts,
            "next_attempt_at": each.next_attempt_at,
            "claimed_until": 0,
            "created_at": each.created_at,
        }
        for each in found
    ]
    if rows:
        connection.execute(insert_into(connection, deliveries).on_conflict_do_nothing(), rows)


def _due(now: int) -> sa.ColumnElement[bool]:
    rested = has_come(webhook_endpoints.c.paused_until, now, HOUR_US)
    enabled = webhook_endpoints.c.status == "enabled"
    ready = sa.or_(deliveries.c.channel != "webhook", sa.and_(enabled, rested))
    return sa.and_(
        deliveries.c.status == "pending",
        has_come(deliveries.c.next_attempt_at, now, DAY_US),
        has_come(deliveries.c.claimed_until, now, CLAIM_US),
        ready,
    )


def due_targets(connection: sa.Connection, now: int) -> list[str | None]:
    """The endpoints that are to be told of something now; None stands for the mail server."""
    query = (
        sa.select(deliveries.c.endpoint_id)
        .outerjoin(webhook_endpoints, webhook_endpoints.c.id == deliveries.c.endpoint_id)
        .where(_due(now))
        .distinct()
    )
    return list(connection.scalars(query))


def due(connection: sa.Connection, endpoint_id: str | None, now: int, limit: int) -> list[str]:
    """The ids of what is due at a target, in the order in which it is due."""
    query = (
        sa.select(deliveries.c.id)
        .outerjoin(webhook_endpoints, webhook_endpoints.c.id == deliveries.c.endpoint_id)
        .where(_due(now), deliveries.c.endpoint_id.is_not_distinct_from(endpoint_id))
        .order_by(deliveries.c.next_attempt_at, deliveries.c.id)
        .limit(limit)
    )
    return list(connection.scalars(query))


def claim(connection: sa.Connection, delivery_id: str, now: int) -> Delivery | None:
    """Begin an attempt; None if somebody else has, or there is nothing to do any more."""
    mine = (
        deliveries.c.id == delivery_id,
        deliveries.c.status == "pending",
        has_come(deliveries.c.claimed_until, now, CLAIM_US),
    )
    begun = {
        "attempts": deliveries.c.attempts + 1,
        "claimed_until": now + CLAIM_US,
        "last_attempt_at": now,
    }
    done = connection.execute(deliveries.update().where(*mine).values(begun))
    return get(connection, delivery_id) if done.rowcount else None


def update(connection: sa.Connection, delivery_id: str, **changes: Any) -> None:
    """What became of an attempt; the claim ends."""
    values = {"claimed_until": 0, **changes}
    connection.execute(deliveries.update().where(deliveries.c.id == delivery_id).values(values))


def give_up(connection: sa.Connection, endpoint_id: str, error: str) -> None:
    """All that waits for an endpoint has failed."""
    waits = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.status == "pending")
    connection.execute(deliveries.update().where(*waits).values(status="failed", error=error))


def retry_failed(connection: sa.Connection, endpoint_id: str, now: int) -> int:
    """All that was given up for an endpoint is due now, with all its attempts before it; answers how many."""
    failed = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.status == "failed")
    again = {"status": "pending", "attempts": 0, "next_attempt_at": now, "claimed_until": 0}
    return connection.execute(deliveries.update().where(*failed).values(again)).rowcount


def get(connection: sa.Connection, delivery_id: str) -> Delivery | None:
    row = connection.execute(_deliveries().where(deliveries.c.id == delivery_id)).one_or_none()
    return None if row is None else _delivery(row)


def search(connection: sa.Connection, wanted: Wanted = ALL, page: Page = WHOLE) -> list[Delivery]:
    columns = deliveries.c
    asked = {
        columns.endpoint_id: wanted.endpoint,
        columns.account_id: wanted.account,
        columns.status: wanted.status,
    }
    rows = connection.execute(page_of(having(_deliveries(), asked), columns.id, page))
    return [_delivery(row) for row in rows]


def forget_before(connection: sa.Connection, instant: int) -> None:
    """Drop events that were told before an instant, and their deliveries; not those that are still on their
    way."""
    waits = sa.exists().where(deliveries.c.event_id == events.c.id, deliveries.c.status == "pending")
    old = sa.select(events.c.id).where(events.c.created_at < instant, events.c.told, ~waits)
    connection.execute(deliveries.delete().where(deliveries.c.event_id.in_(old)))
    # An event without deliveries now is one of these, or one that nobody wanted.
    left = sa.exists().where(deliveries.c.event_id == events.c.id)
    connection.execute(events.delete().where(events.c.created_at < instant, events.c.told, ~left))


def _deliveries() -> sa.Select[Any]:
    both = deliveries.join(events, events.c.id == deliveries.c.event_id)
    return sa.select(deliveries, events.c.type).select_from(both)


def _event(row: sa.Row[Any]) -> Event:
    return Event(row.id, row.key, row.type, row.account_id, row.body, row.created_at, row.mail)


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        row.id,
        row.event_id,
        row.type,
        row.channel,
        row.target,
        row.endpoint_id,
        row.account_id,
        row.status,
        row.attempts,
        row.next_attempt_at,
        row.created_at,
        row.last_attempt_at,
        row.delivered_at,
        row.response_status,
        row.response,
        row.error,
    )


def count_by_status(connection: sa.Connection) -> dict[str, int]:
    """How many deliveries there are in each status."""
    query = sa.select(deliveries.c.status, sa.func.count()).group_by(deliveries.c.status)
    return {row[0]: int(row[1]) for row in connection.execute(query)}
