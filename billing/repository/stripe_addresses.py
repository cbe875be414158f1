"""The addresses that an invoice's row has of its page and its PDF at Stripe."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from billing.stripe_links import at_stripe

STRIPE_BASE = "stripe_base"
"""The option of an engine that has the address of a stand-in for Stripe, where one is configured."""

Check = Callable[[object], bool]


def check_of(connection: sa.Connection) -> Check:
    """Whether an address is one of Stripe's, as this service is configured."""
    base: str | None = connection.get_execution_options().get(STRIPE_BASE)
    return lambda url: at_stripe(url, base)
