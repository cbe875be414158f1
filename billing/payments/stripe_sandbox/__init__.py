"""The bundled Stripe sandbox: a small stateful stand-in for Stripe's API on loopback, for the real SDK.

    with running_sandbox() as sandbox:
        client = stripe.StripeClient(sandbox.api_key, base_addresses={"api": sandbox.url, …})

How a request travels: server (HTTP) → sandbox (key, route, idempotency, faults, log) → params (what is
accepted) → the noun's module → state (tables, events) → webhooks. Everything below `server` is free of
sockets and takes the time as an argument. What a route accepts is data, compared by the tests with
Stripe's own description.

It knows: customers and their balance, test cards, invoice items, invoices with lines, credit notes, events.
It does not know: products, prices, subscriptions, discounts, tax amounts, refunds, disputes, Connect. A
parameter that it does not know is refused like one that Stripe does not know.
"""

from __future__ import annotations

from billing.payments.stripe_sandbox.faults import Fault, FaultKind, FaultSchedule
from billing.payments.stripe_sandbox.sandbox import TEST_KEY, StripeSandbox
from billing.payments.stripe_sandbox.server import RunningSandbox, run_forever, running_sandbox
from billing.payments.stripe_sandbox.wire import Answer, LoggedRequest, Request

__all__ = [
    "TEST_KEY",
    "Answer",
    "Fault",
    "FaultKind",
    "FaultSchedule",
    "LoggedRequest",
    "Request",
    "RunningSandbox",
    "StripeSandbox",
    "run_forever",
    "running_sandbox",
]
