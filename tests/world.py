"""A service with its own database and a clock that stands where the test puts it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from billing.accounts import add_account
from billing.app import Service
from billing.payments.stripe_gateway import StripeGateway
from billing.plans import load_shipped
from metering.event import TaskRunEvent
from metering.period import Month, parse_instant
from metering.settings import Settings
from metering.store import EventStore
from metering.store.sql import SqlEventStore

OCTOBER = Month.parse("2026-10")
# A month is over and its grace period has passed.
NOVEMBER_2 = parse_instant("2026-11-02T00:00:00Z")


class World:
    """`world.instant` is the time; everything else is the real service."""

    def __init__(
        self, engine: sa.Engine, *, now: int = NOVEMBER_2, gateway: StripeGateway | None = None
    ) -> None:
        self.instant = now
        self.engine = engine
        self.store: EventStore = SqlEventStore(engine)
        settings = Settings(_env_file=None, database_url=engine.url.render_as_string(hide_password=False))
        self.service = Service(settings, engine, self.store, lambda: self.instant, gateway)
        load_shipped(engine, now)

    def account(
        self, account_id: str = "acme", *, plan: str = "starter", since: str = "2026-01", email: str = ""
    ) -> None:
        add_account(
            self.engine,
            account_id,
            now=self.instant,
            currency="USD",
            plan=plan,
            billing_from=Month.parse(since),
            email=email,
        )

    def send(self, *batches: Sequence[TaskRunEvent]) -> None:
        for batch in batches:
            self.store.append(batch, self.instant)
