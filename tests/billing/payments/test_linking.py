"""Accounts that are linked to customers which Stripe has already; on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
import stripe

from billing.accounts import show_account, update_account
from billing.errors import Invalid, NotFound, Refused
from billing.payments.desk import CLAIM_US, Desk
from billing.payments.state import refresh
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, RunningSandbox
from metering.period import SECOND_US
from tests.billing.months import NOVEMBER, bill, dollars
from tests.billing.payments.conftest import Clock
from tests.events import runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    world = dollars(engine, StripeGateway(sandbox.api_key, api_base=sandbox.url))
    world.send(runs(5), runs(1, prefix="n", day="2026-11-03"))
    return world


@pytest.fixture
def held(sandbox: RunningSandbox) -> stripe.Customer:
    """A customer who pays by card, made in the dashboard."""
    client = stripe_client(sandbox)
    made = client.v1.customers.create(
        {
            "name": "Acme GmbH",
            "email": "pay@acme.example",
            "address": {"line1": "Hauptstr. 1", "country": "DE"},
            "tax_id_data": [{"type": "eu_vat", "value": "DE123456789"}],
            "metadata": {"crm": "17"},
        }
    )
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": made.id})
    return client.v1.customers.update(made.id, {"invoice_settings": {"default_payment_method": card.id}})


def test_it_is_billed_and_nothing_of_it_is_lost(
    world: World, sandbox: RunningSandbox, held: stripe.Customer
) -> None:
    linked = world.service.link_customer("acme", held.id)
    assert linked.stripe_customer_id == held.id
    invoice = bill(world)
    assert (invoice.status, invoice.amount_paid) == ("paid", 500)
    client = stripe_client(sandbox)
    (now,) = client.v1.customers.list().data
    assert (now.name, now.email) == ("Acme GmbH", "pay@acme.example")
    assert now.address is not None
    assert (now.address.line1, now.address.country) == ("Hauptstr. 1", "DE")
    assert now.metadata is not None
    assert now.metadata.to_dict() == {"crm": "17", "account": "acme"}
    assert [each.value for each in client.v1.customers.tax_ids.list(held.id).data] == ["DE123456789"]


def test_what_the_account_says_is_told(world: World, sandbox: RunningSandbox, held: stripe.Customer) -> None:
    update_account(world.engine, "acme", now=world.instant, name="Acme AG")
    world.service.link_customer("acme", held.id)
    bill(world)
    (now,) = stripe_client(sandbox).v1.customers.list().data
    assert (now.name, now.email) == ("Acme AG", "pay@acme.example")
    update_account(world.engine, "acme", now=world.instant, name="", email="new@acme.example")
    bill(world, NOVEMBER)
    (now,) = stripe_client(sandbox).v1.customers.list().data
    assert (now.name, now.email) == ("acme", "new@acme.example")


def test_linking_twice_does_no_harm(world: World, held: stripe.Customer) -> None:
    update_account(world.engine, "acme", now=world.instant, email="billing@acme.example")
    world.service.link_customer("acme", held.id)
    bill(world)
    before = show_account(world.engine, "acme")
    assert world.service.link_customer("acme", held.id) == before


def test_a_customer_that_cannot_stand_for_it(
    world: World, sandbox: RunningSandbox, held: stripe.Customer
) -> None:
    client = stripe_client(sandbox)
    gone = client.v1.customers.create({"name": "gone"}).id
    client.v1.customers.delete(gone)
    taken = client.v1.customers.create({"name": "taken", "metadata": {"account": "elsewhere"}}).id
    world.account("other")
    world.service.link_customer("other", held.id)
    for customer, problem in (
        ("cus_unknown", "Stripe has no customer cus_unknown; look it up"),
        (gone, "was deleted at Stripe"),
        (taken, "stands for account elsewhere by its metadata"),
        (held.id, "is linked to account other"),
    ):
        with pytest.raises(Refused, match=problem):
            world.service.link_customer("acme", customer)
    with pytest.raises(Invalid, match="is no customer of Stripe's"):
        world.service.link_customer("acme", "in_1234")
    with pytest.raises(NotFound):
        world.service.link_customer("nobody", held.id)
    assert show_account(world.engine, "acme").stripe_customer_id is None
    unclaimed = client.v1.customers.retrieve(taken).metadata
    assert unclaimed is not None
    assert unclaimed["account"] == "elsewhere"


def test_another_customer_once_all_is_paid(
    world: World, sandbox: RunningSandbox, held: stripe.Customer
) -> None:
    update_account(world.engine, "acme", now=world.instant, email="billing@acme.example")
    invoice = bill(world)
    assert invoice.status == "open"
    with pytest.raises(Refused, match=r"not paid \(2026-10-000001\); link once"):
        world.service.link_customer("acme", held.id)
    stripe_client(sandbox).v1.invoices.pay(invoice.stripe_invoice_id or "", {"paid_out_of_band": True})
    assert world.service.gateway is not None
    refresh(world.engine, world.service.gateway, invoice.id, invoice.stripe_invoice_id or "", world.instant)
    assert world.service.link_customer("acme", held.id).stripe_customer_id == held.id
    later = bill(world, NOVEMBER)
    assert stripe_client(sandbox).v1.invoices.retrieve(later.stripe_invoice_id or "").customer == held.id


def test_not_while_an_invoice_is_on_its_way(
    world: World, sandbox: RunningSandbox, held: stripe.Customer
) -> None:
    """A customer may be made for it at this moment."""
    update_account(world.engine, "acme", now=world.instant, email="billing@acme.example")
    sent = world.service.run_month(OCTOBER, send=False)
    (invoice,) = sent.invoices
    assert world.service.gateway is not None
    Desk(world.engine, world.service.gateway, world.service.now).claim(invoice.id)
    with pytest.raises(Refused, match="is being sent at this moment"):
        world.service.link_customer("acme", held.id)
    world.instant += CLAIM_US
    world.service.link_customer("acme", held.id)
    assert world.service.send_due().sent == [invoice.id]


def test_without_stripe_and_with_a_fault(
    world: World, sandbox: RunningSandbox, held: stripe.Customer
) -> None:
    with pytest.raises(Refused, match="set BILLING_STRIPE_API_KEY"):
        replace(world.service, gateway=None).link_customer("acme", held.id)
    route = "/v1/customers/{customer}"
    sandbox.state.faults = FaultSchedule(
        [Fault("POST", route, nth=place, kind=FaultKind.ERROR_500) for place in range(1, 4)]
    )
    with pytest.raises(Refused, match="link again once this is put right"):
        world.service.link_customer("acme", held.id)
    sandbox.state.faults = FaultSchedule()
    world.instant += 1
    world.service.link_customer("acme", held.id)
    now = stripe_client(sandbox).v1.customers.retrieve(held.id)
    assert now.metadata is not None
    assert now.metadata["account"] == "acme"
