"""An account at Stripe that tests may write to: the bundled sandbox, or the user's own in test mode. What a
test makes there carries a mark, and is taken away afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_objects import metadata_of
from metering.clock import now_instant
from metering.period import HOUR_US, SECOND_US


class NotATestKey(ValueError):  # noqa: N818 - reads as what happened
    """Real money: nothing is sent."""


@dataclass
class StripeAccount:
    """`mark` is part of the names of this test's accounts. `base`: the sandbox's address; None is Stripe's
    own. Raises NotATestKey."""

    key: str
    base: str | None = None
    mark: str = field(default_factory=lambda: secrets.token_hex(5))
    begun: int = field(default_factory=now_instant)

    def __post_init__(self) -> None:
        if not self.key.startswith(("sk_test_", "rk_test_")):
            raise NotATestKey(
                "STRIPE_TEST_KEY is no test key (sk_test_… or rk_test_…): these tests charge cards, and only "
                "test mode has cards that cost nobody anything; nothing was sent"
            )

    @property
    def client(self) -> stripe.StripeClient:
        bases: Any = (
            dict.fromkeys(("api", "connect", "files", "meter_events"), self.base) if self.base else {}
        )
        return stripe.StripeClient(self.key, base_addresses=bases, max_network_retries=2)

    def gateway(self) -> StripeGateway:
        return StripeGateway(self.key, api_base=self.base)

    def name(self, what: str) -> str:
        return f"{what}-{self.mark}"

    def customers(self) -> Iterator[stripe.Customer]:
        """Those that this test made, found by their mark."""
        since: Any = {"gte": (self.begun - HOUR_US) // SECOND_US}
        for each in self.client.v1.customers.list({"created": since, "limit": 100}).auto_paging_iter():
            if self.mark in metadata_of(each).get("account", ""):
                yield each

    def invoices(self, customer: str) -> list[stripe.Invoice]:
        return list(self.client.v1.invoices.list({"customer": customer, "limit": 100}).auto_paging_iter())

    def clean_up(self) -> None:
        """Delete drafts, void what is open, delete the customers. What is paid stays: Stripe keeps it. One
        thing that cannot be taken away does not keep the others from it."""
        problems = []
        for customer in list(self.customers()):
            for invoice in self.invoices(customer.id):
                problems += _tried(self._take_away, invoice)
            problems += _tried(self.client.v1.customers.delete, customer.id)
        assert not problems, f"left behind at Stripe: {problems}"

    def _take_away(self, invoice: stripe.Invoice) -> None:
        if invoice.status == "draft":
            self.client.v1.invoices.delete(invoice.id)
        elif invoice.status in ("open", "uncollectible"):
            self.client.v1.invoices.void_invoice(invoice.id)


def _tried(act: Callable[[Any], object], what: object) -> list[str]:
    try:
        act(what)
    except stripe.StripeError as error:
        return [str(error)]
    return []


@contextmanager
def cleaned(account: StripeAccount) -> Iterator[StripeAccount]:
    """The account for one test, whatever becomes of it."""
    try:
        yield account
    finally:
        account.clean_up()


def users_own(key: str | None) -> StripeAccount:
    """By the key in STRIPE_TEST_KEY; skips the test where there is none, fails it for a live one."""
    if not key:
        pytest.skip("STRIPE_TEST_KEY is not set; see docs/stripe.md")
    try:
        return StripeAccount(key)
    except NotATestKey as error:
        pytest.fail(str(error), pytrace=False)
