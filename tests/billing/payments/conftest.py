"""A running sandbox with a clock that tests set, and the real SDK talking to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from billing.payments.stripe_sandbox import RunningSandbox, StripeSandbox, running_sandbox
from tests.billing.payments.stripe_description import accepted_by_stripe, mistakes

stripe.enable_telemetry = False


@dataclass
class Clock:
    """Unix seconds that pass only when a test says so."""

    now: int = 1_791_000_000

    def __call__(self) -> int:
        return self.now


def connect(url: str, api_key: str = "sk_test_sandbox", *, timeout_s: float = 5) -> stripe.StripeClient:
    addresses: Any = dict.fromkeys(("api", "connect", "files", "meter_events"), url)
    http = stripe.RequestsClient(timeout=timeout_s)
    return stripe.StripeClient(api_key, base_addresses=addresses, max_network_retries=0, http_client=http)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def served() -> Iterator[RunningSandbox]:
    """One server for all tests; webhooks and due work are driven by the tests."""
    with running_sandbox(StripeSandbox(webhook_secret="whsec_test"), deliver_webhooks=False) as running:
        yield running


@pytest.fixture
def sandbox(served: RunningSandbox, clock: Clock) -> Iterator[RunningSandbox]:
    """An empty sandbox. What a test asked for with success is valid by Stripe's description of its API."""
    state = served.state
    state.clock, state.attempt_payments, state.missing_email = clock, "immediately", "accepted"
    state.tax_percent = 0
    state.reset(seed="test")
    yield served
    for request in state.log:
        if request.route is not None and request.status == 200:
            schema = accepted_by_stripe(request.method, request.route)
            assert mistakes(schema, dict(request.params)) == [], f"{request.method} {request.path}"


@pytest.fixture
def client(sandbox: RunningSandbox) -> stripe.StripeClient:
    return connect(sandbox.url)


@pytest.fixture
def customer(client: stripe.StripeClient) -> stripe.Customer:
    return client.v1.customers.create({"name": "Acme", "email": "billing@acme.example"})


@pytest.fixture
def with_card(client: stripe.StripeClient, customer: stripe.Customer) -> Callable[[str], stripe.Customer]:
    """The customer with a default card, made from one of Stripe's test ids."""

    def give(card: str) -> stripe.Customer:
        method = client.v1.payment_methods.attach(card, {"customer": customer.id})
        settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
        return client.v1.customers.update(customer.id, settings)

    return give


@pytest.fixture
def draft(client: stripe.StripeClient, customer: stripe.Customer) -> Callable[..., stripe.Invoice]:
    """A draft with one line for each amount."""

    def make(*amounts: int, **more: Any) -> stripe.Invoice:
        given: Any = {"customer": customer.id, "auto_advance": False, **more}
        invoice = client.v1.invoices.create(given)
        if amounts:
            lines: Any = [{"amount": amount, "description": f"line {amount}"} for amount in amounts]
            invoice = client.v1.invoices.add_lines(invoice.id, {"lines": lines})
        return invoice

    return make


def refusal(call: Callable[[], Any]) -> Any:
    """The error that the SDK raises for a call that must be refused."""
    with pytest.raises(stripe.StripeError) as caught:
        call()
    return caught.value
