"""The customer at Stripe follows the account, and an invoice says how it is to be paid; on both engines."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import stripe

from billing.accounts import update_account
from billing.errors import Invalid
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, RunningSandbox
from metering.period import HOUR_US, SECOND_US
from tests.billing.months import NOVEMBER, bill, dollars
from tests.billing.payments.conftest import Clock
from tests.conftest import NewDatabase
from tests.events import runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

DETAILS: dict[str, Any] = {
    "line1": "Hauptstr. 1",
    "city": "Berlin",
    "country": "DE",
    "tax_id_type": "eu_vat",
    "tax_id": "DE123456789",
}


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return _world(engine, sandbox)


def _world(engine: sa.Engine, sandbox: RunningSandbox, email: str = "billing@acme.example") -> World:
    world = dollars(engine, StripeGateway(sandbox.api_key, api_base=sandbox.url), email=email)
    world.send(runs(5), runs(1, prefix="n", day="2026-11-03"))
    return world


def customer(sandbox: RunningSandbox) -> stripe.Customer:
    (one,) = stripe_client(sandbox).v1.customers.list().data
    return one


def tax_ids(sandbox: RunningSandbox) -> list[tuple[str, str]]:
    found = stripe_client(sandbox).v1.customers.tax_ids.list(customer(sandbox).id).data
    return [(each.type, each.value) for each in found]


def posts(sandbox: RunningSandbox, route: str) -> list[dict[str, Any]]:
    return [dict(each.params) for each in sandbox.state.log if (each.method, each.route) == ("POST", route)]


def test_a_customer_is_made_with_all_that_the_account_says(world: World, sandbox: RunningSandbox) -> None:
    update_account(world.engine, "acme", now=world.instant, name="Acme GmbH", **DETAILS)
    bill(world)
    made = customer(sandbox)
    assert (made.name, made.email) == ("Acme GmbH", "billing@acme.example")
    assert made.address is not None
    assert (made.address.line1, made.address.country, made.address.state) == ("Hauptstr. 1", "DE", None)
    assert tax_ids(sandbox) == [("eu_vat", "DE123456789")]
    (invoice,) = stripe_client(sandbox).v1.invoices.list().data
    assert [each.to_dict() for each in invoice.customer_tax_ids or []] == [
        {"type": "eu_vat", "value": "DE123456789"}
    ]
    assert posts(sandbox, "/v1/customers/{customer}") == []


def test_what_changed_later_is_told_before_the_next_invoice(world: World, sandbox: RunningSandbox) -> None:
    update_account(world.engine, "acme", now=world.instant, **DETAILS)
    bill(world)
    changed = DETAILS | {"line1": "", "city": "Bonn", "tax_id": "DE999999999"}
    update_account(
        world.engine, "acme", now=world.instant, name="Acme SE", email="pay@acme.example", **changed
    )
    bill(world, NOVEMBER)
    now = customer(sandbox)
    assert (now.name, now.email) == ("Acme SE", "pay@acme.example")
    assert now.address is not None and (now.address.line1, now.address.city) == (None, "Bonn")
    assert tax_ids(sandbox) == [("eu_vat", "DE999999999")]
    latest = stripe_client(sandbox).v1.invoices.list().data[0]
    assert (latest.customer_name, latest.number) == ("Acme SE", "2026-11-000001")


def test_what_the_account_says_no_more_is_taken_back(world: World, sandbox: RunningSandbox) -> None:
    update_account(world.engine, "acme", now=world.instant, **DETAILS)
    bill(world)
    update_account(world.engine, "acme", now=world.instant, email="", **dict.fromkeys(DETAILS, ""))
    bill(world, NOVEMBER)
    now = customer(sandbox)
    assert (now.email, tax_ids(sandbox)) == (None, [])
    assert now.address is not None and set(now.address.to_dict().values()) == {None}


def test_what_somebody_wrote_at_stripe_is_left_alone(world: World, sandbox: RunningSandbox) -> None:
    bill(world)
    client = stripe_client(sandbox)
    client.v1.customers.update(customer(sandbox).id, {"address": {"city": "Rome"}, "name": "Acme!"})
    bill(world, NOVEMBER)
    now = customer(sandbox)
    assert now.address is not None and (now.name, now.address.city) == ("Acme!", "Rome")


@pytest.mark.parametrize("kind", [FaultKind.APPLIED_THEN_CLOSES, FaultKind.ERROR_500, FaultKind.GARBLED_200])
@pytest.mark.parametrize(
    "step", ["/v1/customers", "/v1/customers/{customer}", "/v1/customers/{customer}/tax_ids"]
)
def test_a_fault_while_it_is_told(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, step: str, kind: FaultKind
) -> None:
    world = _world(sqlite_databases(), sandbox)
    update_account(world.engine, "acme", now=world.instant, **DETAILS)
    faults = [Fault("POST", step, nth=nth, kind=kind) for nth in (1, 2, 3)]
    if step == "/v1/customers":
        sandbox.state.faults = FaultSchedule(faults)
    world.service.run_month(OCTOBER)
    sandbox.state.faults = FaultSchedule(faults if step != "/v1/customers" else [])
    update_account(world.engine, "acme", now=world.instant, name="Acme SE", tax_id="DE999999999")
    world.instant += HOUR_US
    world.service.send_due()
    bill(world, NOVEMBER)
    for _ in range(3):
        world.instant += HOUR_US
        world.service.send_due()
    assert (customer(sandbox).name, tax_ids(sandbox)) == ("Acme SE", [("eu_vat", "DE999999999")])
    held = stripe_client(sandbox).v1.invoices.list().data
    assert [each.status for each in held] == ["open", "open"]


@pytest.mark.parametrize(
    ("details", "card", "collected"),
    [
        ({}, False, ("send_invoice", 30)),
        ({"days_until_due": 14}, False, ("send_invoice", 14)),
        ({}, True, ("charge_automatically", None)),
        ({"collection": "send", "days_until_due": 60}, True, ("send_invoice", 60)),
        ({"collection": "charge"}, False, ("charge_automatically", None)),
    ],
)
def test_how_an_invoice_is_to_be_paid(
    world: World, sandbox: RunningSandbox, details: Any, card: bool, collected: tuple[str, int | None]
) -> None:
    if details:
        update_account(world.engine, "acme", now=world.instant, **details)
    client = stripe_client(sandbox)
    bill(world)
    if card:
        method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer(sandbox).id})
        default: Any = {"invoice_settings": {"default_payment_method": method.id}}
        client.v1.customers.update(customer(sandbox).id, default)
        bill(world, NOVEMBER)
    made = client.v1.invoices.list().data[0]
    days = None if made.due_date is None else (made.due_date - made.created) // 86_400
    assert (made.collection_method, days) == collected


def test_what_counts_is_what_the_invoice_was_made_out_with(world: World, sandbox: RunningSandbox) -> None:
    update_account(world.engine, "acme", now=world.instant, purchase_order="PO 4711", days_until_due=14)
    world.service.run_month(OCTOBER, send=False)
    update_account(world.engine, "acme", now=world.instant, purchase_order="PO 4712", days_until_due=60)
    world.service.run_month(OCTOBER)
    (made,) = stripe_client(sandbox).v1.invoices.list().data
    assert [each.to_dict() for each in made.custom_fields or []] == [
        {"name": "Purchase order", "value": "PO 4711"}
    ]
    assert made.due_date == made.created + 14 * 86_400


def test_a_purchase_order_is_no_longer_than_stripe_takes(world: World) -> None:
    update_account(world.engine, "acme", now=world.instant, purchase_order="x" * 140)
    with pytest.raises(Invalid, match="at most 140 characters"):
        update_account(world.engine, "acme", now=world.instant, purchase_order="x" * 141)


def test_without_an_email_address_the_operator_is_told_what_to_do(
    engine: sa.Engine, sandbox: RunningSandbox
) -> None:
    sandbox.state.missing_email = "refused"
    world = _world(engine, sandbox, email="")
    (failed,) = world.service.run_month(OCTOBER).failed
    assert (
        "give it one with: billing accounts update acme --email ADDRESS, then: billing run 2026-10"
        in failed[1]
    )
    update_account(world.engine, "acme", now=world.instant, email="pay@acme.example")
    assert world.service.run_month(OCTOBER).sent == 1
    assert customer(sandbox).email == "pay@acme.example"


def test_without_an_email_address_a_card_is_charged(engine: sa.Engine, sandbox: RunningSandbox) -> None:
    sandbox.state.missing_email = "refused"
    world = _world(engine, sandbox, email="")
    update_account(world.engine, "acme", now=world.instant, collection="charge")
    assert world.service.run_month(OCTOBER).sent == 1
