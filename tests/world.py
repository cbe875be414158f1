"""A service with its own database and a clock that stands where the test puts it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from billing.accounts import add_account
from billing.app import Service
from billing.audit.trail import changing
from billing.payments.stripe_gateway import StripeGateway
from billing.plans import load_shipped
from billing.repository import accounts
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

    def customer(self, account_id: str, customer: str) -> None:
        """The account has a customer at Stripe that knows nothing of it."""
        deed, now = "account.customer_linked", self.instant
        with changing(self.engine, deed, "account", account_id, now=now) as connection:
            accounts.set_stripe_customer(connection, account_id, customer, {})

    def send(self, *batches: Sequence[TaskRunEvent]) -> None:
        for batch in batches:
            self.store.append(batch, self.instant)
