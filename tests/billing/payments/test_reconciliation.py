"""A month compared with Stripe, through the real SDK to the sandbox; on both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
import stripe

from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox
from billing.reconciliation.operation import reconcile
from billing.repository.invoices import Invoice
from metering.period import DAY_US, HOUR_US, SECOND_US
from tests.billing.months import NOVEMBER, bill, dollars
from tests.billing.payments.conftest import Clock
from tests.billing.payments.reconciled import (
    NOT_INVOICED,
    Said,
    cannot_be_fixed,
    differ,
    look,
    owes_five,
    pay,
    said,
    second_invoice,
    set_books,
)
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return owes_five(engine, sandbox)


@pytest.fixture
def lite(sqlite_databases: NewDatabase, sandbox: RunningSandbox) -> World:
    """On SQLite alone, where storage does not matter."""
    return owes_five(sqlite_databases(), sandbox)


@pytest.fixture
def client(sandbox: RunningSandbox) -> stripe.StripeClient:
    return stripe_client(sandbox)


def test_a_month_that_agrees(world: World, sandbox: RunningSandbox, client: stripe.StripeClient) -> None:
    made = bill(world)
    report = look(world, sandbox)
    assert (report.ok, report.notes) == (True, [])
    assert (report.accounts, report.invoices, report.at_stripe) == (1, 1, 1)
    assert report.to_data()["compared"] == {
        "accounts": 1,
        "invoices": 1,
        "at_stripe": 1,
        "source_runs": None,
        "amounts": [{"currency": "USD", "total": 500, "amount_paid": 0}],
    }
    assert len(sandbox.state.log) and made.stripe_invoice_id
    assert look(world, sandbox, account="acme").ok


def test_hundreds_of_invoices_are_listed_not_fetched(lite: World, sandbox: RunningSandbox) -> None:
    for number in range(120):
        lite.account(f"a{number:03d}", plan="dollar", email="a@example.com")
        lite.send(runs(1, account=f"a{number:03d}", prefix="x"))
    lite.service.run_month(OCTOBER)
    before = len(sandbox.state.log)
    report = look(lite, sandbox)
    assert (report.ok, report.at_stripe) == (True, 121)
    assert len(sandbox.state.log) - before == 2


def _nothing(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    """Changes nothing."""


def _issued_twice(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    second_invoice(client, made, finalize=True)


def _by_hand(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    customer: Any = client.v1.invoices.retrieve(made.stripe_invoice_id or "").customer
    extra = client.v1.invoices.create({"customer": customer, "auto_advance": False})
    client.v1.invoices.add_lines(extra.id, {"lines": [{"amount": 700, "description": "by hand"}]})


def _of_other_books(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    extra = second_invoice(client, made)
    client.v1.invoices.update(extra.id, {"metadata": {"invoice_id": "inv_of_others"}})


def _credited_by_hand(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    client.v1.credit_notes.create({"invoice": made.stripe_invoice_id or "", "amount": 100})


def _paid_here_alone(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    set_books(world, status="paid", amount_paid=500)


def _void_here_alone(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    set_books(world, status="void", voided_at=world.instant, void_reason="by mistake")


def _another_total(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    set_books(world, total=600)


def _another_number(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    set_books(world, number="2026-10-000009")


def _forgotten_there(client: stripe.StripeClient, world: World, made: Invoice) -> None:
    set_books(world, stripe_invoice_id="in_of_another_account")
    client.v1.invoices.update(
        made.stripe_invoice_id or "", {"metadata": {"invoice_id": "", "reconcile": "ignore"}}
    )


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (_nothing, []),
        (_issued_twice, differ("extra in Stripe", -500)),
        (_by_hand, differ("extra in Stripe", -700)),
        (_of_other_books, differ("extra in Stripe", -500)),
        (_credited_by_hand, differ("credit notes differ", -100)),
        (_paid_here_alone, differ("paid state differs", 500)),
        (_void_here_alone, [NOT_INVOICED, *differ("extra in Stripe", -500)]),
        (_another_total, differ("total differs", 100)),
        (_another_number, differ("number differs", 0)),
        (_forgotten_there, differ("missing in Stripe", 500)),
    ],
)
def test_what_is_for_a_person_is_named_and_left_alone(
    world: World,
    sandbox: RunningSandbox,
    client: stripe.StripeClient,
    happens: Callable[[stripe.StripeClient, World, Invoice], None],
    expected: Said,
) -> None:
    happens(client, world, bill(world))
    cannot_be_fixed(world, sandbox, expected)
    assert look(world, sandbox, account="acme").differences == look(world, sandbox).differences


def test_an_invoice_by_hand_may_be_marked_as_no_business_of_ours(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    _by_hand(client, lite, made)
    (difference,) = look(lite, sandbox).differences
    assert "mark it there with the metadata reconcile=ignore" in difference.message
    client.v1.invoices.update(difference.stripe_invoice_id or "", {"metadata": {"reconcile": "ignore"}})
    assert look(lite, sandbox).ok
    # Of a customer that stands for no account of ours.
    other = client.v1.customers.create({"name": "Somebody"})
    client.v1.invoices.create({"customer": other.id, "auto_advance": False})
    assert look(lite, sandbox).ok


def test_each_stranger_is_reported_in_one_month(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient, clock: Clock
) -> None:
    lite.send(runs(1, prefix="n", day="2026-11-03"))
    made = bill(lite)
    _by_hand(client, lite, made)
    clock.now += 40 * 86_400
    november = bill(lite, NOVEMBER)
    _by_hand(client, lite, november)
    second_invoice(client, made)  # in December, and for October
    per_month = [reconcile(lite.service, month).differences for month in (OCTOBER, NOVEMBER, NOVEMBER.next())]
    assert [sorted(each.amount or 0 for each in found) for found in per_month] == [[-700, -500], [-700], []]


def test_our_books_may_move_on_while_stripe_is_listed(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    """A webhook comes between the listing and our look at the books: that is no difference."""
    made = bill(lite)

    class Meanwhile:
        def __init__(self, gateway: Any) -> None:
            self._gateway = gateway

        def __getattr__(self, name: str) -> Any:
            return getattr(self._gateway, name)

        def list_invoices(self, *args: Any) -> Any:
            yield from self._gateway.list_invoices(*args)
            pay(client, made)
            set_books(lite, status="paid", amount_paid=500)

    gateway: Any = Meanwhile(lite.service.gateway)
    object.__setattr__(lite.service, "gateway", gateway)
    assert reconcile(lite.service, OCTOBER).ok


def test_a_clock_that_is_ahead_of_stripes_hides_nothing(
    lite: World, sandbox: RunningSandbox, clock: Clock
) -> None:
    """What the listing does not hold is asked for before it is called missing."""
    clock.now -= 20 * 86_400
    bill(lite)
    assert reconcile(lite.service, OCTOBER).ok


def test_late_events_until_the_next_invoice_adjusts_them(world: World, sandbox: RunningSandbox) -> None:
    bill(world)
    world.send(runs(2, prefix="late"))
    (difference,) = cannot_be_fixed(
        world, sandbox, [("acme", "meter-invoice", "late events not yet adjusted", 200)]
    ).differences
    assert (difference.quantity, difference.invoice) == (2, "2026-10-000001")
    world.send(runs(1, prefix="n", day="2026-11-03"))
    world.instant = NOVEMBER.end + DAY_US
    bill(world, NOVEMBER)
    assert look(world, sandbox).ok
    world.send([event("run-0000000", state="ROLLED_BACK", end="2026-10-03T12:00:05Z")])
    report = look(world, sandbox)
    assert [(each.quantity, each.amount) for each in report.differences] == [(-1, -100)]


def test_late_events_that_cost_nothing_are_settled_by_the_next_invoice(
    engine: sa.Engine, sandbox: RunningSandbox
) -> None:
    world = World(engine, gateway=StripeGateway(sandbox.api_key, api_base=sandbox.url))
    world.account(email="a@example.com")
    world.send(runs(3), runs(1, prefix="n", day="2026-11-03"))
    world.service.run_month(OCTOBER)
    world.send(runs(2, prefix="late"))
    assert [(each.quantity, each.amount) for each in look(world, sandbox).differences] == [(2, 0)]
    world.instant = NOVEMBER.end + DAY_US
    world.service.run_month(NOVEMBER)
    assert look(world, sandbox).ok
    world.send(runs(1, prefix="later"))
    assert [(each.quantity, each.amount) for each in look(world, sandbox).differences] == [(3, 0)]


def test_what_was_metered_and_not_invoiced(world: World, sandbox: RunningSandbox) -> None:
    world.send(runs(4, account="stranger"))
    report = look(world, sandbox)
    assert [(each.account, each.cause, each.quantity, each.amount) for each in report.differences] == [
        ("acme", "not invoiced", 5, 500),
        ("stranger", "unassigned account", 4, None),
    ]
    world.instant = OCTOBER.end + 23 * HOUR_US
    report = look(world, sandbox)
    assert [each.cause for each in report.differences] == ["unassigned account"]
    assert "2026-10 is not due yet" in report.notes[0]
    world.service.run_month(OCTOBER, early=True)
    world.instant = NOVEMBER_2
    assert "billing invoices approve --month 2026-10" in look(world, sandbox).differences[0].message


def test_without_stripe_the_others_are_compared(engine: sa.Engine) -> None:
    world = dollars(engine)
    world.send(runs(5))
    bill(world)
    report = reconcile(world.service, OCTOBER, fix=True)
    assert (report.ok, report.at_stripe, report.invoices) == (True, None, 1)
    assert "Stripe is not configured" in report.notes[0]


def test_a_void_here_while_paid_there_is_not_taken_over(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    pay(client, made)
    set_books(lite, status="void", voided_at=lite.instant, void_reason="by mistake")
    report = cannot_be_fixed(lite, sandbox, [NOT_INVOICED, *differ("extra in Stripe", -500)])
    assert "it was paid: give the money back in Stripe" in report.differences[1].message


def test_a_contract_invoice_is_of_the_month_of_its_issue(
    lite: World, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    made = bill(lite)
    set_books(lite, kind="contract")
    pay(client, made)
    assert said(look(lite, sandbox, account="acme"))[-1:] == differ("paid state differs", -500)
