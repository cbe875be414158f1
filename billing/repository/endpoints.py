"""Webhook endpoints and the secrets that sign what they are sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billing.notification_tables import webhook_endpoints, webhook_secrets
from billing.repository.lists import Page, having, page_of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`account`: whose it is; None: the operator's, told of all accounts. `event_types`: none means all.
    `status` is enabled, disabled, or removed. It failed `failures` times in a row since `failing_since`, and
    is left alone until `paused_until`."""

    id: str
    account: str | None
    url: str
    description: str
    event_types: tuple[str, ...]
    status: str
    author: str
    created_at: int
    disabled_reason: str | None = None
    failures: int = 0
    failing_since: int | None = None
    paused_until: int = 0

    def wants(self, type_: str, account: str | None) -> bool:
        """Whether it is to be told of an event of this type, of this account (None: of none)."""
        mine = self.account is None or self.account == account
        return mine and (not self.event_types or type_ in self.event_types)


def add(connection: sa.Connection, endpoint: Endpoint) -> None:
    connection.execute(
        webhook_endpoints.insert().values(
            id=endpoint.id,
            account_id=endpoint.account,
            url=endpoint.url,
            description=endpoint.description,
            event_types=json.dumps(endpoint.event_types),
            status=endpoint.status,
            failures=endpoint.failures,
            paused_until=endpoint.paused_until,
            author=endpoint.author,
            created_at=endpoint.created_at,
        )
    )


def get(connection: sa.Connection, endpoint_id: str, *, lock: bool = False) -> Endpoint | None:
    """With `lock` nobody else changes it before this transaction ends. A removed one is not there."""
    query = sa.select(webhook_endpoints).where(
        webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.status != "removed"
    )
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _endpoint(row)


def search(
    connection: sa.Connection,
    *,
    account: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Endpoint]:
    """In the order in which they were made, without the removed ones; `account`: that account's own."""
    columns = webhook_endpoints.c
    query = sa.select(webhook_endpoints).where(columns.status != "removed")
    query = having(query, {columns.account_id: account, columns.status: status})
    rows = connection.execute(page_of(query, columns.id, Page(after, limit)))
    return [_endpoint(row) for row in rows]


def is_any_enabled(connection: sa.Connection) -> bool:
    return bool(connection.scalar(sa.select(sa.exists().where(webhook_endpoints.c.status == "enabled"))))


def update(connection: sa.Connection, endpoint_id: str, **changes: Any) -> None:
    if "event_types" in changes:
        changes["event_types"] = json.dumps(changes["event_types"])
    connection.execute(
        webhook_endpoints.update().where(webhook_endpoints.c.id == endpoint_id).values(**changes)
    )


def add_secret(connection: sa.Connection, id_: str, endpoint_id: str, secret: str, now: int) -> None:
    row = {"id": id_, "endpoint_id": endpoint_id, "secret": secret, "made_at": now}
    connection.execute(webhook_secrets.insert().values(row))


def expire_secrets(connection: sa.Connection, endpoint_id: str, now: int, at: int) -> None:
    """Those that have no end yet end at an instant; those that have ended are forgotten."""
    mine = webhook_secrets.c.endpoint_id == endpoint_id
    connection.execute(webhook_secrets.delete().where(mine, webhook_secrets.c.expires_at <= now))
    open_ = webhook_secrets.c.expires_at.is_(None)
    connection.execute(webhook_secrets.update().where(mine, open_).values(expires_at=at))


def forget_secrets(connection: sa.Connection, endpoint_id: str) -> None:
    connection.execute(webhook_secrets.delete().where(webhook_secrets.c.endpoint_id == endpoint_id))


def secrets(connection: sa.Connection, endpoint_id: str, now: int) -> list[str]:
    """Those that sign now, the newest first."""
    lives = sa.or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > now)
    query = sa.select(webhook_secrets.c.secret).where(webhook_secrets.c.endpoint_id == endpoint_id, lives)
    return list(connection.scalars(query.order_by(webhook_secrets.c.id.desc())))


def _endpoint(row: sa.Row[Any]) -> Endpoint:
    return Endpoint(
        row.id,
        row.account_id,
        row.url,
        row.description,
        tuple(json.loads(row.event_types)),
        row.status,
        row.author,
        row.created_at,
        row.disabled_reason,
        row.failures,
        row.failing_since,
        row.paused_until,
    )
