"""Operations on webhook endpoints, the same for every door."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.billing_details import check_text
from billing.errors import Invalid, NotFound, Refused
from billing.ids import new_id
from billing.notifications.addresses import check_url
from billing.notifications.signing import KEY_BYTES, new_secret
from billing.notifications.telling import EVENT_TYPES, WEBHOOK, delivery_of, make_event
from billing.repository import endpoints, notifications
from billing.repository.endpoints import Endpoint
from billing.terms import get_account
from metering.database import reading, writing
from metering.period import DAY_US, format_instant, format_optional

# After a new secret the old one signs as well, for so long.
OVERLAP_US = DAY_US
STATUSES = ("enabled", "disabled")


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An endpoint and its new secret, together this once."""

    endpoint: Endpoint
    secret: str

    def to_data(self) -> dict[str, object]:
        return endpoint_data(self.endpoint) | {"secret": self.secret}


def add_endpoint(
    engine: sa.Engine,
    url: str,
    *,
    account: str | None = None,
    event_types: Sequence[str] = (),
    description: str = "",
    private: bool,
    by: str,
    now: int,
) -> NewSecret:
    """Register an endpoint: of an account's, told of that account, or else of the operator's, told of all. No
    event types: all of them. `private`: whether private networks are allowed. Raises NotFound, Invalid."""
    url = check_url(url, private=private)
    types = _check_types(event_types)
    check_text("description", description)
    endpoint = Endpoint(new_id("whe", now), account, url, description, types, "enabled", by, now)
    secret = new_secret(secrets.token_bytes(KEY_BYTES))
    with changing(
        engine, "webhook_endpoint.added", "webhook_endpoint", endpoint.id, now=now, by=by, account=account
    ) as connection:
        if account is not None:
            get_account(connection, account)
        endpoints.add(connection, endpoint)
        endpoints.add_secret(connection, new_id("whs", now), endpoint.id, secret, now)
    return NewSecret(endpoint, secret)


def list_endpoints(
    engine: sa.Engine, *, account: str | None = None, after: str = "", limit: int | None = None
) -> list[Endpoint]:
    """In the order in which they were made; `account`: that account's own."""
    with reading(engine) as connection:
        return endpoints.search(connection, account=account, after=after, limit=limit)


def show_endpoint(engine: sa.Engine, endpoint_id: str, *, account: str | None = None) -> Endpoint:
    """Of one account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        found = endpoints.get(connection, endpoint_id)
    if found is None or account not in (None, found.account):
        raise _no_endpoint(endpoint_id)
    return found


def update_endpoint(
    engine: sa.Engine,
    endpoint_id: str,
    *,
    url: str | None = None,
    event_types: Sequence[str] | None = None,
    description: str | None = None,
    status: str | None = None,
    private: bool,
    now: int,
) -> Endpoint:
    """Change what is given. One that is enabled again, or gets another address, starts afresh: it is told of
    what happens from now on, and of what still waits. Raises NotFound, Invalid."""
    changes: dict[str, Any] = {}
    if url is not None:
        changes["url"] = check_url(url, private=private)
    if event_types is not None:
        changes["event_types"] = _check_types(event_types)
    if description is not None:
        check_text("description", description)
        changes["description"] = description
    if status is not None:
        if status not in STATUSES:
            raise Invalid(f"status {status!r} is not one of {', '.join(STATUSES)}", field="status")
        changes |= {"status": status, "disabled_reason": None if status == "enabled" else "by hand"}
    if not changes:
        raise Invalid("say what changes: the address, the event types, the description, or the status")
    if url is not None or status == "enabled":
        changes |= {"failures": 0, "failing_since": None, "paused_until": 0}
    with changing(engine, "webhook_endpoint.changed", "webhook_endpoint", endpoint_id, now=now) as connection:
        locked_endpoint(connection, endpoint_id)
        endpoints.update(connection, endpoint_id, **changes)
        return locked_endpoint(connection, endpoint_id)


def remove_endpoint(engine: sa.Engine, endpoint_id: str, *, now: int) -> None:
    """It is told nothing more; its deliveries stay in the log. Raises NotFound."""
    with changing(engine, "webhook_endpoint.removed", "webhook_endpoint", endpoint_id, now=now) as connection:
        locked_endpoint(connection, endpoint_id)
        endpoints.update(connection, endpoint_id, status="removed")
        endpoints.forget_secrets(connection, endpoint_id)
        notifications.give_up(connection, endpoint_id, "the endpoint was removed")


def rotate_secret(engine: sa.Engine, endpoint_id: str, now: int) -> NewSecret:
    """A new secret, shown this once; for a day the old one signs as well. Raises NotFound."""
    secret = new_secret(secrets.token_bytes(KEY_BYTES))
    with changing(
        engine, "webhook_endpoint.secret_rotated", "webhook_endpoint", endpoint_id, now=now
    ) as connection:
        endpoint = locked_endpoint(connection, endpoint_id)
        endpoints.expire_secrets(connection, endpoint_id, now, now + OVERLAP_US)
        endpoints.add_secret(connection, new_id("whs", now), endpoint_id, secret, now)
    return NewSecret(endpoint, secret)


def make_test(engine: sa.Engine, endpoint_id: str, now: int) -> str:
    """A test event for one endpoint, whatever types it asked for; the answer is the delivery's id. Raises
    NotFound, or Refused for one that is disabled."""
    with writing(engine) as connection:
        endpoint = locked_endpoint(connection, endpoint_id)
        require_enabled(endpoint)
        data = {"endpoint": endpoint.id}
        message = "This is a test of your webhook endpoint."
        made = make_event("webhook.test", new_id("test", now), endpoint.account, message, data, now)
        notifications.add_events(connection, [replace(made, mail=False)])
        notifications.mark_told(connection, [made.id])
        delivery = delivery_of(made, WEBHOOK, endpoint.id, endpoint.account, now)
        notifications.add_deliveries(connection, [delivery])
    return delivery.id


def locked_endpoint(connection: sa.Connection, endpoint_id: str) -> Endpoint:
    """One that nobody else changes before this transaction ends. Raises NotFound."""
    found = endpoints.get(connection, endpoint_id, lock=True)
    if found is None:
        raise _no_endpoint(endpoint_id)
    return found


def require_enabled(endpoint: Endpoint) -> None:
    """Raises Refused."""
    if endpoint.status != "enabled":
        raise Refused(
            f"endpoint {endpoint.id} is {endpoint.status}; enable it first: billing webhooks enable "
            f"{endpoint.id}"
        )


def endpoint_data(endpoint: Endpoint) -> dict[str, object]:
    """An endpoint in the shape of JSON answers, without its secrets."""
    return {
        "id": endpoint.id,
        "account": endpoint.account,
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": list(endpoint.event_types),
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failures": endpoint.failures,
        "failing_since": format_optional(endpoint.failing_since),
        "created_at": format_instant(endpoint.created_at),
    }


def _check_types(event_types: Sequence[str]) -> tuple[str, ...]:
    for each in event_types:
        if each not in EVENT_TYPES:
            raise Invalid(
                f"event type {each!r} is not one of {', '.join(sorted(EVENT_TYPES))}", field="event_types"
            )
    return tuple(sorted(set(event_types)))


def _no_endpoint(endpoint_id: str) -> NotFound:
    return NotFound(f"there is no webhook endpoint {endpoint_id!r}; see: billing webhooks list")
