"""Endpoints that listen, events that happen, and what was delivered of them."""

from __future__ import annotations

from dataclasses import replace

from freezegun import freeze_time
from standardwebhooks import Webhook

from billing.notifications.endpoints import NewSecret, add_endpoint
from billing.notifications.sending import Sender
from billing.notifications.telling import make_event, tell
from billing.repository import notifications
from billing.repository.notifications import Delivery
from metering.database import reading, writing
from metering.period import to_datetime
from tests.billing.alerts.receiver import Receiver
from tests.world import World

DEAD = "http://127.0.0.1:9/hooks"


def sender(world: World, **more: object) -> Sender:
    return replace(Sender(world.engine, lambda: world.instant, private=True), **more)  # type: ignore[arg-type]


def listen(world: World, url: str, account: str | None = None, *types: str) -> NewSecret:
    return add_endpoint(
        world.engine, url, account=account, event_types=types, private=True, by="test", now=world.instant
    )


def happen(world: World, count: int = 1, account: str | None = "acme", type_: str = "invoice.paid") -> None:
    with writing(world.engine) as connection:
        made = [
            make_event(type_, f"{account}-{world.instant}-{each}", account, "It happened.", {}, world.instant)
            for each in range(count)
        ]
        tell(connection, made)


def log(world: World) -> list[Delivery]:
    with reading(world.engine) as connection:
        return notifications.search(connection)


def verified(world: World, receiver: Receiver, secret: str) -> list[str]:
    """The types of what came, each signed with the secret."""
    with freeze_time(to_datetime(world.instant)):
        return [Webhook(secret).verify(each.body, each.headers)["type"] for each in receiver.got]
