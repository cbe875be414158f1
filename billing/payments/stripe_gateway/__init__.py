"""Everything we say to Stripe, in our own words. The only package that imports the SDK.

Each method is one call (or one paged list) and answers plain values; each POST carries an idempotency key
that its caller derives from what the call is for. Errors of the SDK become those of `payments.errors`.
"""

from __future__ import annotations

from billing.payments.stripe_gateway.connection import TIMEOUT_SECONDS, LiveKeyRefused
from billing.payments.stripe_gateway.credit_notes import CreditNoteCalls
from billing.payments.stripe_gateway.customers import CustomerCalls
from billing.payments.stripe_gateway.invoices import InvoiceCalls
from billing.payments.stripe_gateway.money import MoneyCalls
from billing.payments.stripe_gateway.webhook import read_webhook

__all__ = ["TIMEOUT_SECONDS", "LiveKeyRefused", "StripeGateway", "read_webhook"]


class StripeGateway(CustomerCalls, InvoiceCalls, CreditNoteCalls, MoneyCalls):
    """All calls, over one connection (see `Connection`)."""
