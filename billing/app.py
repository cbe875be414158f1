"""The composition root: what the doors share, wired together from the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.access import NewKey, first_admin_key
from billing.billing_run import Progress, RunReport, run_month
from billing.payments.outbox import Delivery, send_due
from billing.plans import load_shipped
from billing.programs import grant_referral_rewards
from billing.repository import invoices, outbox, runs
from billing.schema import is_current, upgrade
from metering import clock
from metering.database import make_engine, reading, writing
from metering.period import DAY_US, Month
from metering.settings import Settings
from metering.store import EventStore
from metering.store.sql import SqlEventStore

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway


class SchemaMissing(RuntimeError):  # noqa: N818 - reads as what happened
    """The database is empty or has an older schema."""


@dataclass(frozen=True)
class Service:
    """Everything an operation needs. `now` answers the current instant; `gateway` is None where Stripe is not
    configured: invoices then stay finalized until it is. `pause` lets a moment pass while another process is
    at work."""

    settings: Settings
    engine: sa.Engine
    store: EventStore
    now: Callable[[], int]
    gateway: StripeGateway | None
    pause: Callable[[], None] = lambda: time.sleep(0.2)

    @property
    def late_us(self) -> int:
        """How long ago an event of an ingest key may have ended."""
        return self.settings.late_days * DAY_US

    def init(self) -> NewKey | None:
        """Create or upgrade the schema and load the catalogue; the first time, answer an admin key."""
        upgrade(self.engine)
        load_shipped(self.engine, self.now())
        return first_admin_key(self.engine, self.now())

    def require_schema(self) -> None:
        """Raises SchemaMissing."""
        if not is_current(self.engine):
            raise SchemaMissing("the database has no schema yet, or an older one; run: billing init")

    def run_month(
        self,
        month: Month,
        *,
        account: str | None = None,
        early: bool = False,
        send: bool = True,
        progress: Progress = lambda done, total: None,
        sending: Progress = lambda done, total: None,
    ) -> RunReport:
        """Bill a month and send its invoices, where Stripe is configured. Raises NotFound, Refused."""
        report = run_month(
            self.engine,
            self.store,
            month,
            now=self.now(),
            grace_hours=self.settings.grace_hours,
            account=account,
            early=early,
            progress=progress,
        )
        if send and not early and self.gateway is not None:
            with writing(self.engine) as connection:
                outbox.retry_failed(connection, month, account, self.now())
            self._add_delivery(report, self._send_month(self.gateway, month, account, sending))
        return report

    def _send_month(
        self, gateway: StripeGateway, month: Month, account: str | None, progress: Progress
    ) -> Delivery:
        """Send until nothing of the month is left that could be. What another process has is waited for: it
        sends it, or it died, and then its claim lapses."""
        delivery = Delivery()
        while True:
            round_ = send_due(self.engine, gateway, self.now, month=month, account=account, progress=progress)
            delivery.add(round_)
            with reading(self.engine) as connection:
                if not outbox.claimed(connection, self.now(), month, account):
                    return delivery
            self.pause()

    def _add_delivery(self, report: RunReport, delivery: Delivery) -> None:
        with reading(self.engine) as connection:
            report.invoices = [invoices.get(connection, each.id) or each for each in report.invoices]
        report.sent = len(delivery.sent)
        self.reward_referrals()
        account_of = {invoice.id: invoice.account for invoice in report.invoices}
        for invoice_id, message in (delivery.waiting | delivery.failed).items():
            report.failed.append((account_of.get(invoice_id, invoice_id), f"not sent: {message}"))
        with writing(self.engine) as connection:
            runs.finish(connection, report.id, self.now(), json.dumps(report.to_data()))

    def send_due(self) -> Delivery:
        """Send whatever is due, of any month; nothing where Stripe is not configured."""
        if self.gateway is None:
            return Delivery()
        delivery = send_due(self.engine, self.gateway, self.now)
        self.reward_referrals()
        return delivery

    def reward_referrals(self) -> list[tuple[str, str]]:
        """Reward who referred an account that has paid by now; cheap where nobody has."""
        return grant_referral_rewards(self.engine, self.settings.referral_reward, self.now())


def make_service(settings: Settings, now: Callable[[], int] = clock.now_instant) -> Service:
    """Raises DatabaseUrlError, LiveKeyRefused."""
    gateway = None
    if settings.stripe_api_key is not None and settings.stripe_api_key.get_secret_value():
        # The SDK takes a quarter of a second to import: only those pay for it who have Stripe configured.
        from billing.payments.stripe_gateway import StripeGateway

        gateway = StripeGateway(
            settings.stripe_api_key.get_secret_value(),
            api_base=settings.stripe_api_base,
            live=settings.stripe_live == "yes",
        )
    engine = make_engine(settings.database_url)
    return Service(settings, engine, SqlEventStore(engine), now, gateway)
