"""The story that fault schedules happen to: a month of several accounts, a contract, a void, credit notes,
payments and webhooks; acts may be killed, and everything is driven until it rests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa
import stripe

from billing.accounts import update_account
from billing.app import Service
from billing.contract_invoices import invoice_contracts
from billing.contracts import load_contract_text
from billing.credit_notes import credit_note
from billing.credits import add_credit
from billing.errors import BillingError
from billing.payments.errors import PaymentError
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, FaultSchedule, StripeSandbox
from billing.payments.webhooks import receive
from billing.plans import load_plan_text
from billing.repository import credit_notes, invoices
from billing.repository.invoices import Invoice
from billing.tables import outbox as outbox_table
from billing.voids import void_invoice
from metering.database import reading
from metering.period import SECOND_US
from metering.store.sql import SqlEventStore
from tests.billing.months import DOLLAR_A_RUN
from tests.events import runs
from tests.faults.in_process import Wire
from tests.faults.killing import KillAt, Killed, MortalGateway
from tests.faults.schedules import THEN, Act, Schedule
from tests.settled import assert_at_rest, assert_safe
from tests.world import OCTOBER, World

# Eleven lines: more than Stripe shows of an invoice at once.
SERVICES = [
    {"description": f"Service {place}", "price": f"{place}.00", "due_on": "2026-11-01"}
    for place in range(1, 11)
]
CONTRACT = json.dumps(
    {
        "id": "d-2026",
        "account": "d",
        "start": "2026-11-01",
        "end": "2027-11-01",
        "plan": "dollar",
        "currency": "USD",
        "instalments": "monthly",
        "grants": [{"id": "g1", "runs": 10, "price": "120.00"}],
        "services": SERVICES,
    }
)
RESTS_AFTER = 80
WEBHOOKS = ("invoice.finalized", "invoice.paid", "invoice.payment_failed", "invoice.voided")


class Story:
    """A world without faults yet; `play` lets a schedule happen to it."""

    def __init__(self, engine: sa.Engine, mortal: sa.Engine, schedule: Schedule) -> None:
        """`mortal`: another engine on the same database, of the processes that are killed."""
        self.engine = engine
        self._mortal = mortal
        self.schedule = schedule
        self.sandbox = StripeSandbox(
            clock=lambda: self.world.instant // SECOND_US,
            webhook_secret="whsec_test",
            attempt_payments=schedule.attempt_payments,
            seed=str(schedule.seed),
        )
        self.wire = Wire(self.sandbox)
        self.gateway = StripeGateway(TEST_KEY, wire=self.wire, retries=schedule.retries)
        self.world = World(engine, gateway=self.gateway)
        self.world.instant += 1  # no two of them share an instant
        self._prepare()

    def _prepare(self) -> None:
        """`a` has credit and gets a note, `b` is charged by card, `c` is voided, `d` has a contract, `e` has
        details and a card that says no; `f` owes nothing."""
        world = self.world
        load_plan_text(self.engine, DOLLAR_A_RUN, "dollar.json", world.instant)
        for place, account in enumerate("abcdef"):
            world.account(account, plan="dollar", email=f"{account}@example.com")
            if account not in "df":
                world.send(runs(4 + place, account=account, prefix=account))
        for account in "acf":
            add_credit(self.engine, account, "2.00", "sorry", by="ann", now=world.instant)
        world.send(runs(2, account="f", prefix="f"))
        load_contract_text(self.engine, CONTRACT, "d.json", by="ann", now=world.instant)
        self._card("b", "pm_card_visa")
        self._card("e", "pm_card_chargeCustomerFail")
        self.sandbox.webhooks.add_endpoint("https://billing.example/webhooks", enabled_events=WEBHOOKS)
        self.sandbox.faults = FaultSchedule(self.schedule.faults)
        self.sandbox.log.clear()

    def _card(self, account: str, card: str) -> None:
        """A customer at Stripe, known here, who pays by card."""
        client = stripe.StripeClient(TEST_KEY, http_client=self.wire)
        customer = client.v1.customers.create({"name": account, "metadata": {"account": account}})
        method = client.v1.payment_methods.attach(card, {"customer": customer.id})
        client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
        self.world.customer(account, customer.id)

    def play(self) -> None:
        """Every act, killed where the schedule says so and begun again; then until everything rests; then an
        operator runs the month again, and all is done."""
        acts: dict[Act, Callable[[Service], object]] = {
            "month": lambda service: service.run_month(OCTOBER),
            "contracts": self._contracts,
            "details": self._details,
            "void": self._void,
            "note": lambda service: self._note(service, "a", "1.00", "first"),
            "late note": lambda service: self._note(service, "b", "2.00", "second"),
            "pay": self._pay,
        }
        for step in self.schedule.steps:
            self._live(acts[step.act], step.kill_at)
            self._pass(step.pause_us)
            if step.kill_at is not None:
                self._live(acts[step.act], None)
            self._live(lambda service: service.send_due(), None)
        for late in THEN:  # those that came before there was an invoice
            self._live(acts[late], None)
        self._rest()
        assert_at_rest(self.engine, self.sandbox)
        self.sandbox.faults = FaultSchedule()
        for _ in range(2):  # a void may leave the month to be billed again
            self._operator()
            self._rest()
        assert_at_rest(self.engine, self.sandbox, done=True)

    def _live(self, act: Callable[[Service], object], kill_at: int | None) -> None:
        """Do something in a process of its own, which may be killed."""
        service = replace(self.world.service, pause=lambda: self._pass(31 * SECOND_US))
        if kill_at is not None:
            kill = KillAt(kill_at)
            gateway: Any = MortalGateway(self.gateway, kill)
            store = SqlEventStore(self._mortal)
            service = replace(service, engine=self._mortal, store=store, gateway=gateway)
            kill.listen(self._mortal)
        # Refused: what was done before the kill is not done again.
        with contextlib.suppress(Killed, BillingError, PaymentError):
            act(service)
        if kill_at is not None:
            kill.forget(self._mortal)
        assert_safe(self.engine, self.sandbox)

    def _pass(self, microseconds: int) -> None:
        self.world.instant += microseconds + 1
        self.wire.settle()
        self.sandbox.work_due()
        self.sandbox.deliver(self._receive)
        assert_safe(self.engine, self.sandbox)

    def _receive(self, _url: str, body: bytes, headers: dict[str, str]) -> int:
        try:
            receive(
                self.engine,
                self.gateway,
                body,
                headers["Stripe-Signature"],
                [self.sandbox.webhook_secret],
                self.world.instant,
            )
        except PaymentError:
            return 503
        return 200

    def _rest(self) -> None:
        """Time passes, from one next attempt to another, until nothing is left to be tried."""
        for _ in range(RESTS_AFTER):
            with reading(self.engine) as connection:
                rows = connection.execute(sa.select(outbox_table)).all()
            # A note waits for the sending of its invoice, which waits for an operator.
            failed = {row.id for row in rows if row.status == "failed"}
            pending = [
                max(row.next_attempt_at, row.claimed_until)
                for row in rows
                if row.status == "pending" and (row.kind != "credit_note" or row.invoice_id not in failed)
            ]
            hooks = [each.due_at * SECOND_US for each in self.sandbox.webhooks.waiting]
            if not pending and not hooks:
                return
            # What is due and not done has its turn after another that is not due yet.
            later = [when for when in pending + hooks if when > self.world.instant]
            until_then = min(later, default=self.world.instant) - self.world.instant
            self._pass(until_then + SECOND_US + self.schedule.lag_us)
            self._live(lambda service: service.send_due(), None)
        raise AssertionError("it comes to no rest")

    def _operator(self) -> None:
        """Gives the commands that he is told to give."""
        self._live(lambda service: service.run_month(OCTOBER), None)
        self._live(lambda service: service.send_contracts(), None)

    def _invoice(self, account: str) -> Invoice | None:
        with reading(self.engine) as connection:
            return next(iter(invoices.search(connection, account=account)), None)

    def _contracts(self, service: Service) -> None:
        invoice_contracts(service.engine, date(2026, 11, 2), now=service.now())
        service.send_due()

    def _details(self, service: Service) -> None:
        update_account(
            service.engine,
            "e",
            now=service.now(),
            line1="Street 1",
            city="Berlin",
            country="DE",
            tax_id="DE123456789",
            tax_id_type="eu_vat",
        )
        service.send_due()

    def _void(self, service: Service) -> None:
        invoice = self._invoice("c")
        if invoice is not None:
            void_invoice(service.engine, invoice.id, "wrong", by="ann", now=service.now())
            service.send_invoice(invoice.id)

    def _note(self, service: Service, account: str, amount: str, reason: str) -> None:
        invoice = self._invoice(account)
        if invoice is None:
            return
        with reading(service.engine) as connection:
            given = [each.reason for each in credit_notes.of_invoice(connection, invoice.id)]
        if reason not in given:
            credit_note(service.engine, invoice.id, amount, "goodwill", reason, by="ann", now=service.now())
        service.send_invoice(invoice.id)

    def _pay(self, _service: Service) -> None:
        """Customers pay what they see: `a` and, too early for its void perhaps, `c`."""
        for account in self.schedule.payers:
            invoice = self._invoice(account)
            for held in list(self.sandbox.state.invoices.rows.values()):
                ours = invoice is not None and held["metadata"]["invoice_id"] == invoice.id
                if ours and held["status"] == "open":
                    client = stripe.StripeClient(TEST_KEY, http_client=self.wire)
                    client.v1.invoices.pay(held["id"], {"paid_out_of_band": True})
