"""A whole month through Stripe's API: the bundled sandbox always, and your own account in test mode where
STRIPE_TEST_KEY is set (docs/stripe.md). It is the same test, of what both of them do."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from billing.accounts import show_account
from billing.app import Service
from billing.credit_notes import credit_note
from billing.credits import show_credit
from billing.invoices import list_invoices, show_invoice
from billing.jobs import due_month
from billing.payments.state import refresh
from billing.payments.stripe_objects import metadata_of
from billing.payments.stripe_sandbox import StripeSandbox, running_sandbox
from billing.plans import load_plan_text
from billing.repository.invoices import Invoice
from billing.tables import invoice_numbers
from billing.voids import void_invoice
from metering.clock import now_instant
from metering.database import writing
from metering.period import Month, to_datetime
from tests.billing.months import DOLLAR_A_RUN
from tests.conftest import NewDatabase
from tests.events import runs
from tests.live.stripe_account import NotATestKey, StripeAccount, cleaned, users_own
from tests.world import World


@pytest.fixture(params=["sandbox", pytest.param("live", marks=pytest.mark.live)])
def account(request: pytest.FixtureRequest) -> Iterator[StripeAccount]:
    """As Stripe does, the sandbox charges an hour after an invoice is finalized, unless it is told to."""
    if request.param == "live":
        with cleaned(users_own(os.environ.get("STRIPE_TEST_KEY"))) as own:
            yield own
        return
    with running_sandbox(StripeSandbox(attempt_payments="later"), deliver_webhooks=False) as sandbox:
        with cleaned(StripeAccount(sandbox.api_key, sandbox.url)) as bundled:
            yield bundled
        assert all(each.get("deleted") for each in sandbox.state.state.customers.rows.values())


class LiveMonth:
    """The month that is due now, of a customer who has a card and one to whom invoices are sent."""

    def __init__(self, engine: sa.Engine, account: StripeAccount) -> None:
        self.engine = engine
        self.account = account
        self.client = account.client
        self.gateway = account.gateway()
        self.card, self.sent = account.name("card"), account.name("sent")
        world = World(engine, now=now_instant(), gateway=self.gateway)
        self.service: Service = world.service
        self.month: Month = due_month(now_instant(), 24)
        load_plan_text(engine, DOLLAR_A_RUN, "dollar.json", world.instant)
        day = to_datetime(self.month.start) + timedelta(days=1)
        for name, quantity in ((self.card, 7), (self.sent, 5)):
            world.account(name, plan="dollar", since=str(self.month), email=f"{name}@example.com")
            world.send(runs(quantity, account=name, day=f"{day:%Y-%m-%d}", prefix=name))
        self._begin_numbers_far_away()

    def _begin_numbers_far_away(self) -> None:
        """Stripe takes a number once: those of an earlier test are in use there."""
        with writing(self.engine) as connection:
            last = secrets.randbelow(10**9)
            connection.execute(invoice_numbers.insert().values(prefix=str(self.month), last=last))

    def add_customer_with_card(self) -> str:
        """Made at Stripe, as in its dashboard."""
        made = self.client.v1.customers.create(
            {
                "name": "Test with a card",
                "metadata": {"account": self.card},
                "email": f"{self.card}@example.com",
            }
        )
        card = self.client.v1.payment_methods.attach("pm_card_visa", {"customer": made.id})
        settings: Any = {"invoice_settings": {"default_payment_method": card.id}}
        return self.client.v1.customers.update(made.id, settings).id

    def customer(self, name: str) -> str:
        return show_account(self.engine, name).stripe_customer_id or ""

    def run(self) -> dict[str, Invoice]:
        """Live invoices by account."""
        report = self.service.run_month(self.month)
        assert report.failed == []
        return {each.account: each for each in report.invoices}

    def credit(self, invoice: Invoice, amount: str) -> None:
        note = credit_note(
            self.engine, invoice.id, amount, "goodwill", "a test", by="test", now=self.service.now()
        )
        assert self.service.send_invoice(invoice.id).problems == {}, note.number

    def refreshed(self, invoice: Invoice) -> Invoice:
        """What a webhook does."""
        refresh(self.engine, self.gateway, invoice.id, invoice.stripe_invoice_id or "", self.service.now())
        return show_invoice(self.engine, invoice.id)

    def assert_books_agree(self) -> None:
        """Each of ours is there once, and equal; nothing there is not ours."""
        ours = {each.stripe_invoice_id: self.refreshed(each) for each in list_invoices(self.engine)}
        customers = [self.customer(each) for each in (self.card, self.sent)]
        theirs = {held.id: held for customer in customers for held in self.account.invoices(customer)}
        assert theirs.keys() == ours.keys()
        for id, held in theirs.items():
            mine = ours[id]
            total = held.total if held.total_excluding_tax is None else held.total_excluding_tax
            assert (held.number, held.status, total) == (mine.number, mine.status, mine.total)
            assert (held.amount_paid, held.currency) == (mine.amount_paid, "usd")
            assert metadata_of(held) == {"invoice_id": mine.id}
            lines = [(line.description, line.amount) for line in held.lines.data]
            assert sorted(lines) == sorted((line.description, line.amount) for line in mine.lines)


def test_a_month(sqlite_databases: NewDatabase, account: StripeAccount) -> None:
    month = LiveMonth(sqlite_databases(), account)
    customer = month.add_customer_with_card()
    month.service.link_customer(month.card, customer)

    made = month.run()
    card, sent = made[month.card], made[month.sent]
    assert (card.total, sent.total, sent.status) == (700, 500, "open")
    held = month.client.v1.invoices.retrieve(sent.stripe_invoice_id or "")
    assert (held.collection_method, held.hosted_invoice_url) == ("send_invoice", sent.hosted_invoice_url)
    month.assert_books_agree()

    month.credit(card, "1.00")  # off what is due
    card = month.refreshed(card)
    assert card.status == "open"
    month.client.v1.invoices.pay(card.stripe_invoice_id or "")
    card = month.refreshed(card)
    assert (card.status, card.amount_paid) == ("paid", 600)
    month.credit(card, "2.00")  # of what was paid: it becomes credit here
    assert show_credit(month.engine, month.card)["balance"] == 200
    notes = month.client.v1.credit_notes.list({"invoice": card.stripe_invoice_id or ""}).data
    assert sorted((each.amount, each.pre_payment_amount) for each in notes) == [(100, 100), (200, 0)]

    void_invoice(month.engine, sent.id, "a test", by="test", now=month.service.now())
    assert month.service.send_invoice(sent.id).problems == {}
    assert month.refreshed(sent).status == "void"
    again = month.run()[month.sent]
    assert (again.replaces, again.status, again.number != sent.number) == (sent.id, "open", True)
    assert month.run()[month.sent].id == again.id
    month.assert_books_agree()


def test_what_is_left_is_taken_away_though_the_test_fails(sqlite_databases: NewDatabase) -> None:
    """A draft, an open invoice, a paid one, and the customers; what is not the test's stays."""
    with running_sandbox(deliver_webhooks=False) as sandbox:
        stays = StripeAccount(sandbox.api_key, sandbox.url).client.v1.customers.create({"name": "a stranger"})
        with pytest.raises(ZeroDivisionError), cleaned(StripeAccount(sandbox.api_key, sandbox.url)) as own:
            month = LiveMonth(sqlite_databases(), own)
            month.service.link_customer(month.card, month.add_customer_with_card())
            made = month.run()
            draft: Any = {"customer": month.customer(month.sent), "auto_advance": False}
            month.client.v1.invoices.create(draft)
            raise ZeroDivisionError
        state = sandbox.state.state
        left = {id: row["status"] for id, row in state.invoices.rows.items()}
        assert left == {
            made[month.card].stripe_invoice_id: "paid",
            made[month.sent].stripe_invoice_id: "void",
        }
        assert [id for id, row in state.customers.rows.items() if not row.get("deleted")] == [stays.id]


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1", "pk_test_1", "whsec_1"])
def test_only_a_test_key_is_used(key: str) -> None:
    with pytest.raises(NotATestKey, match="nothing was sent"):
        StripeAccount(key)
    with pytest.raises(pytest.fail.Exception, match="is no test key"):
        users_own(key)


def test_without_a_key_it_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match="STRIPE_TEST_KEY is not set"):
        users_own("")
