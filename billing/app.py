"""The composition root: what the doors share, wired together from the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.access import NewKey, first_admin_key
from billing.approvals import Approval, approve_draft, approve_month
from billing.audit.trail import begin, changing
from billing.billing_run import Progress, run_month
from billing.corrections import correct
from billing.credit_notes import credit_note
from billing.credits import positive_amount
from billing.disputes import answer_dispute
from billing.errors import Refused
from billing.month_readers import MonthReaders
from billing.moving.closing import left_for
from billing.payments.crediting import not_the_same
from billing.payments.linking import link_customer
from billing.payments.outbox import Delivery, send_due
from billing.payments.rate import Pace
from billing.payments.tax import tax_of
from billing.plans import load_shipped
from billing.programs import grant_referral_rewards
from billing.repository import invoices, outbox, runs
from billing.repository.accounts import Account
from billing.repository.credit_notes import CreditNote
from billing.repository.disputes import Dispute
from billing.repository.invoices import Invoice
from billing.repository.outbox import Kind
from billing.repository.rate import StoredRate
from billing.repository.stripe_addresses import STRIPE_BASE
from billing.rounds import Onwards
from billing.run_report import RunReport
from billing.schema import is_current, upgrade
from billing.sellers import record_seller
from metering import clock
from metering.database import make_engine, reading, writing
from metering.period import DAY_US, SECOND_US, Month
from metering.settings import Settings
from metering.store import EventStore
from metering.store.clickhouse.home import complaint, settle
from metering.store.opening import open_store

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway


class SchemaMissing(RuntimeError):  # noqa: N818 - reads as what happened
    """The database is empty or has an older schema, or the events are elsewhere."""


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

    def init(self, *, with_key: bool = True) -> NewKey | None:
        """Create or upgrade the schemas and load the catalogue; the first time, unless none is wanted, answer
        an admin key."""
        upgrade(self.engine)
        with writing(self.engine) as connection:
            begin(connection, self.now())
        settle(self.engine, self.store)
        load_shipped(self.engine, self.now())
        return first_admin_key(self.engine, self.now()) if with_key else None

    def require_schema(self) -> None:
        """Raises SchemaMissing."""
        if not is_current(self.engine):
            raise SchemaMissing("the database has no schema yet, or an older one; run: billing init")
        with reading(self.engine) as connection:
            if place := left_for(connection):
                raise SchemaMissing(f"this installation has moved to {place}; set BILLING_DATABASE_URL to it")
        if wrong := complaint(self.engine, self.store):
            raise SchemaMissing(wrong)

    def run_month(
        self,
        month: Month,
        *,
        account: str | None = None,
        early: bool = False,
        send: bool = True,
        bill_incomplete: bool = False,
        progress: Progress = lambda done, total: None,
        sending: Progress = lambda done, total: None,
    ) -> RunReport:
        """Bill a month and send its invoices, where Stripe is configured. Raises NotFound, Refused."""
        self.store.catch_up(self.now())
        self.record_seller()
        report = run_month(
            self.engine,
            self.store,
            month,
            now=self.now(),
            grace_hours=self.settings.grace_hours,
            account=account,
            early=early,
            bill_incomplete=bill_incomplete,
            readers=MonthReaders(self.engine, self.store, self.settings),
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
        wanted = outbox.Wanted(month, account)
        onwards = Onwards(progress)
        while True:
            onwards.begin_round()
            round_ = send_due(self.engine, gateway, self.now, wanted, progress=onwards)
            delivery.add(round_)
            with reading(self.engine) as connection:
                if not outbox.claimed(connection, self.now(), wanted):
                    return delivery
            self.pause()

    def _add_delivery(self, report: RunReport, delivery: Delivery) -> None:
        report.sent = len(delivery.sent)
        self.reward_referrals()
        with reading(self.engine) as connection:
            for intent_id, message in delivery.problems.items():
                intent = outbox.get(connection, intent_id)
                assert intent is not None, "intents are never removed"
                invoice = invoices.get(connection, intent.invoice_id)
                assert invoice is not None, "an intent has its invoice"
                report.failed.append((invoice.account, message))
        with changing(
            self.engine, "billing_run.sent", "billing_run", report.id, now=self.now()
        ) as connection:
            runs.finish(connection, report.id, self.now(), json.dumps(report.figures()))

    def send_invoice(self, invoice_id: str, kinds: tuple[Kind, ...] = ("credit_note", "void")) -> Delivery:
        """Do at once what is to be done at Stripe for one invoice: by default its credit notes and its void,
        not its sending. Nothing where Stripe is not configured."""
        delivery = Delivery()
        if self.gateway is None:
            return delivery
        of_invoice = outbox.Wanted(invoice=invoice_id)
        while True:
            round_ = send_due(self.engine, self.gateway, self.now, of_invoice._replace(kinds=kinds))
            delivery.add(round_)
            with reading(self.engine) as connection:
                if not outbox.claimed(connection, self.now(), of_invoice):
                    return delivery
            self.pause()

    def link_customer(self, account_id: str, customer: str) -> Account:
        """Link an account to a customer that Stripe has. Raises NotFound, Invalid, Refused."""
        return link_customer(self.engine, self.gateway, account_id, customer, now=self.now())

    def credit_note(
        self,
        invoice_id: str,
        amount: str,
        kind: str,
        reason: str,
        *,
        by: str,
        stripe_note: str | None = None,
    ) -> tuple[CreditNote, Delivery]:
        """Give a credit note, also at Stripe; or book the one that was given there as `stripe_note`. Raises
        NotFound, Invalid, Refused, and PaymentError where such a note cannot be looked at."""
        if stripe_note is not None:
            self._check_stripe_note(invoice_id, amount, stripe_note)
        made = credit_note(
            self.engine, invoice_id, amount, kind, reason, by=by, now=self.now(), stripe_note=stripe_note
        )
        return made, self.send_invoice(made.invoice_id)

    def _check_stripe_note(self, invoice_id: str, amount: str, stripe_note: str) -> None:
        if self.gateway is None:
            raise Refused("Stripe is not configured; set BILLING_STRIPE_API_KEY to book a note of Stripe's")
        with reading(self.engine) as connection:
            invoice = invoices.get(connection, invoice_id)
        if invoice is None:
            return  # told by the operation itself
        minor = positive_amount(amount, invoice.currency, "amount")
        wrong = not_the_same(self.gateway, invoice, stripe_note, minor)
        if wrong is not None:
            raise Refused(f"{wrong}; look the note up in the dashboard", field="stripe_note")

    def approve_month(
        self,
        month: Month,
        *,
        by: str,
        only: Sequence[str] | None = None,
        progress: Progress = lambda done, total: None,
        sending: Progress = lambda done, total: None,
    ) -> Approval:
        """Issue the drafts of a month, or `only` some, as they were reviewed, and send them, where Stripe is
        configured. Raises NotFound, Refused."""
        self.record_seller()
        approval = approve_month(
            self.engine,
            self.store,
            month,
            by=by,
            now=self.now(),
            grace_hours=self.settings.grace_hours,
            only=only,
            progress=progress,
        )
        issued = approval.approved
        approval.approved = []
        for number, invoice in enumerate(issued, start=1):
            approval.approved.append(self._send_approved(invoice, approval) if invoice.total else invoice)
            sending(number, len(issued))
        return approval

    def approve(self, invoice_id: str, *, by: str) -> Approval:
        """The same for one draft. Raises NotFound, Refused."""
        self.record_seller()
        invoice = approve_draft(
            self.engine,
            self.store,
            invoice_id,
            by=by,
            now=self.now(),
            grace_hours=self.settings.grace_hours,
        )
        approval = Approval(invoice.month)
        approval.approved = [self._send_approved(invoice, approval)]
        return approval

    def _send_approved(self, invoice: Invoice, approval: Approval) -> Invoice:
        delivery = self.send_invoice(invoice.id, kinds=("send",))
        approval.failed += [(invoice.account, message) for message in delivery.problems.values()]
        with reading(self.engine) as connection:
            return invoices.get(connection, invoice.id) or invoice

    def answer_dispute(
        self, dispute_id: str, *, reply: str, reverse_runs: Sequence[str] | None, by: str
    ) -> Dispute:
        """Answer a dispute: reverse some of its runs (empty: all), or decline (None). Raises NotFound,
        Invalid, Refused."""

        def reverse(account: str, runs: Sequence[str], reason: str, author: str) -> None:
            done = correct(
                self.engine, self.store, account, runs, "reverse", reason, author=author, now=self.now()
            )
            assert not done.errors, "the runs of a dispute are held, for ever"

        return answer_dispute(
            self.engine,
            dispute_id,
            reply=reply,
            reverse_runs=reverse_runs,
            by=by,
            now=self.now(),
            reverse=reverse,
        )

    def record_seller(self) -> None:
        """Who sells, as the settings say now; to be called before invoices are issued. Raises Invalid."""
        record_seller(self.engine, self.settings, self.now())

    def send_due(self) -> Delivery:
        """Send whatever is due, of any month; nothing where Stripe is not configured."""
        if self.gateway is None:
            return Delivery()
        delivery = send_due(self.engine, self.gateway, self.now)
        self.reward_referrals()
        return delivery

    def send_contracts(self, contract: str | None = None) -> Delivery:
        """Send invoices of a contract, or of all, also those that failed before; and whatever else is due."""
        if self.gateway is not None:
            with writing(self.engine) as connection:
                outbox.retry_contracts(connection, contract, self.now())
        return self.send_due()

    def reward_referrals(self) -> list[tuple[str, str]]:
        """Reward who referred an account that has paid by now; cheap where nobody has."""
        return grant_referral_rewards(self.engine, self.settings.referral_reward, self.now())


def make_service(settings: Settings, now: Callable[[], int] = clock.now_instant) -> Service:
    """Raises DatabaseUrlError, EventsUrlError, LiveKeyRefused, or Invalid for settings that exclude one
    another."""
    engine = make_engine(settings.database_url)
    engine.update_execution_options(**{STRIPE_BASE: settings.stripe_api_base})
    events_url = settings.events_url.get_secret_value() if settings.events_url else None
    store = open_store(engine, events_url)
    gateway = None
    if settings.stripe_api_key is not None and settings.stripe_api_key.get_secret_value():
        # The SDK takes a quarter of a second to import: only those pay for it who have Stripe configured.
        from billing.payments.stripe_gateway import StripeGateway

        # Stripe's limits are per second of real time, whatever time the service believes it is.
        pace = Pace(StoredRate(engine), clock.now_instant, lambda wait_us: time.sleep(wait_us / SECOND_US))
        gateway = StripeGateway(
            settings.stripe_api_key.get_secret_value(),
            api_base=settings.stripe_api_base,
            live=settings.stripe_live == "yes",
            pace=pace,
            tax=tax_of(settings.stripe_automatic_tax, settings.stripe_tax_rates),
        )
    return Service(settings, engine, store, now, gateway)
