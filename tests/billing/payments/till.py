"""A month that was sent to a sandbox without a socket between, whose clock is the world's: what customers,
their banks and people at Stripe's dashboard do with its invoice, and the webhooks that tell of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
import stripe

from billing.invoices import invoice_data, show_invoice
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, StripeSandbox
from billing.payments.webhooks import Handled, receive
from billing.repository.invoices import Invoice
from metering.period import SECOND_US
from tests.events import runs
from tests.faults.in_process import Wire
from tests.world import OCTOBER, World

SECRET = "whsec_till"


class Till:
    """`invoice` was issued to acme for 100 runs beyond the free ones: 0.25 USD or what `quantity` makes."""

    def __init__(self, engine: sa.Engine, *, quantity: int = 20_000, card: str | None = None) -> None:
        self.world = World(engine)
        self.sandbox = StripeSandbox(
            clock=lambda: self.world.instant // SECOND_US, webhook_secret=SECRET, seed="till"
        )
        self.sandbox.webhooks.add_endpoint("http://127.0.0.1:9/hook")
        wire = Wire(self.sandbox)
        self.gateway = StripeGateway(TEST_KEY, wire=wire)
        self.client = stripe.StripeClient(TEST_KEY, http_client=wire, max_network_retries=0)
        self.world = World(engine, gateway=self.gateway)
        self.world.account(email="billing@acme.example")
        if card is not None:
            self._give_card(card)
        self.world.send(runs(quantity))
        self.world.service.run_month(OCTOBER)
        self.id = self.shown["id"]

    @property
    def invoice(self) -> Invoice:
        return show_invoice(self.world.engine, "2026-10-000001")

    @property
    def stripe_id(self) -> str:
        return self.invoice.stripe_invoice_id or ""

    @property
    def shown(self) -> Any:
        return invoice_data(self.world.engine, self.invoice, self.world.instant)

    @property
    def collection(self) -> Any:
        """Without the time at which it was fetched."""
        return {name: value for name, value in self.shown["collection"].items() if name != "fetched_at"}

    @property
    def state(self) -> Any:
        """All that we keep of what Stripe has."""
        held = asdict(self.invoice)
        names = ("status", "amount_paid", "stripe_status", "hosted_invoice_url", "invoice_pdf", "void_reason")
        kept = {name: held[name] for name in names}
        return kept | {"collection": self.collection, "records": self.shown["stripe_records"]}

    def webhooks(self) -> list[tuple[bytes, str]]:
        """Those that wait to be sent, as they would arrive now; they are not sent again."""
        sent: list[tuple[bytes, str]] = []

        def keep(_url: str, body: bytes, headers: dict[str, str]) -> int:
            sent.append((body, headers["Stripe-Signature"]))
            return 200

        self.sandbox.deliver(keep)
        return sent

    def receive(self, webhook: tuple[bytes, str], *secrets: str) -> Handled:
        body, signature = webhook
        return receive(
            self.world.engine, self.gateway, body, signature, secrets or (SECRET,), self.world.instant
        )

    def deliver(self) -> None:
        """All webhooks arrive, in their order."""
        for webhook in self.webhooks():
            self.receive(webhook)

    def pass_time(self, seconds: int) -> None:
        """Stripe does what becomes due."""
        self.world.instant += seconds * SECOND_US
        self.sandbox.work_due()

    def charge(self) -> str:
        """The id of the last charge."""
        return str(self.sandbox.state.charges.order[-1])

    def pay(self, card: str = "pm_card_visa") -> None:
        customer = self.client.v1.invoices.retrieve(self.stripe_id).customer
        method = self.client.v1.payment_methods.attach(card, {"customer": str(customer)})
        self.client.v1.invoices.pay(self.stripe_id, {"payment_method": method.id})

    def _give_card(self, card: str) -> None:
        customer = self.client.v1.customers.create(
            {"name": "acme", "email": "billing@acme.example", "metadata": {"account": "acme"}}
        )
        method = self.client.v1.payment_methods.attach(card, {"customer": customer.id})
        settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
        self.client.v1.customers.update(customer.id, settings)
        self.world.customer("acme", customer.id)
