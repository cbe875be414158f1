"""Credit notes at Stripe, through the real SDK to the sandbox; on both engines."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import stripe

from billing.credit_notes import credit_note
from billing.credits import show_credit
from billing.errors import Invalid, Refused
from billing.invoices import invoice_data, show_invoice
from billing.payments.desk import CLAIM_US
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, RunningSandbox
from billing.reconciliation.operation import reconcile
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.period import HOUR_US, SECOND_US
from tests.billing.months import NOVEMBER, bill, dollars
from tests.billing.payments.conftest import Clock, refusal
from tests.billing.payments.interrupted import interrupted
from tests.conftest import NewDatabase
from tests.events import runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

NOTES = "/v1/credit_notes"


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return _world(engine, sandbox)


def _world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    world = dollars(engine, gateway, email="billing@acme.example")
    world.send(runs(5), runs(1, prefix="n", day="2026-11-03"))
    return world


def give(world: World, invoice: Invoice, amount: str, kind: str = "goodwill") -> str:
    made = credit_note(world.engine, invoice.id, amount, kind, "outage", by="operator", now=world.instant)
    return made.id


def pay(sandbox: RunningSandbox, invoice: Invoice) -> None:
    stripe_client(sandbox).v1.invoices.pay(invoice.stripe_invoice_id or "", {"paid_out_of_band": True})


def notes(sandbox: RunningSandbox) -> list[stripe.CreditNote]:
    return list(stripe_client(sandbox).v1.credit_notes.list({"limit": 100}).data)


def balance(world: World) -> object:
    return show_credit(world.engine, "acme")["balance"]


def test_a_note_on_an_open_invoice_reduces_what_is_due(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    note_id = give(world, made, "2.00")
    assert world.service.send_invoice(made.id).problems == {}
    (held,) = notes(sandbox)
    assert (held.amount, held.pre_payment_amount, held.post_payment_amount) == (200, 200, 0)
    assert held.memo == "2026-11-CN-000001: outage"
    assert held.metadata is not None and held.metadata["credit_note_id"] == note_id
    assert stripe_client(sandbox).v1.invoices.retrieve(made.stripe_invoice_id or "").amount_remaining == 300
    shown: Any = invoice_data(world.engine, show_invoice(world.engine, made.id), world.instant)[
        "credit_notes"
    ]
    assert (shown[0]["stripe_credit_note_id"], shown[0]["sending"]["status"]) == (held.id, "done")
    assert balance(world) == 0


def test_an_invoice_that_is_credited_in_full_is_paid(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    give(world, made, "5.00")
    world.service.send_invoice(made.id)
    held = show_invoice(world.engine, made.id)
    assert (held.status, held.amount_paid, balance(world)) == ("paid", 0, 0)


def test_a_note_on_a_paid_invoice_becomes_account_credit_in_our_ledger_alone(
    world: World, sandbox: RunningSandbox
) -> None:
    made = bill(world)
    pay(sandbox, made)
    give(world, made, "2.00")
    world.service.send_invoice(made.id)
    (held,) = notes(sandbox)
    assert (held.post_payment_amount, held.out_of_band_amount, held.customer_balance_transaction) == (
        200, 200, None
    )  # fmt: skip
    assert stripe_client(sandbox).v1.customers.list().data[0].balance == 0
    ledger: Any = show_credit(world.engine, "acme")["ledger"]
    assert [(each["kind"], each["amount"], each["description"], each["invoice"]) for each in ledger] == [
        ("credit_note", 200, "credit note 2026-11-CN-000001", made.id)
    ]
    november = bill(world, NOVEMBER)
    assert (november.total, november.lines[1].description) == (
        0,
        "Account credit: credit note 2026-11-CN-000001",
    )
    assert balance(world) == 100


def test_what_of_a_note_is_due_and_what_was_paid_before(world: World, sandbox: RunningSandbox) -> None:
    """The customer's balance at Stripe paid two of the five dollars when the invoice was finalized."""
    client = stripe_client(sandbox)
    bill(world)
    customer = client.v1.customers.list().data[0].id
    client.v1.customers.balance_transactions.create(customer, {"amount": -200, "currency": "usd"})
    world.send(runs(4, prefix="m", day="2026-11-04"))
    made = bill(world, NOVEMBER)
    assert client.v1.invoices.retrieve(made.stripe_invoice_id or "").amount_remaining == 300
    give(world, made, "4.00")
    world.service.send_invoice(made.id)
    (held,) = notes(sandbox)
    assert (held.type, held.pre_payment_amount, held.post_payment_amount) == ("mixed", 300, 100)
    assert balance(world) == 100


def test_a_note_follows_its_invoice(world: World, sandbox: RunningSandbox) -> None:
    world.service.run_month(OCTOBER, send=False)
    made = show_invoice(world.engine, "2026-10-000001")
    give(world, made, "2.00")
    assert world.service.send_invoice(made.id).problems == {}
    assert notes(sandbox) == []
    assert world.service.run_month(OCTOBER).sent == 1
    assert [each.amount for each in notes(sandbox)] == [200]


def test_an_invoice_that_is_paid_between_our_look_and_our_request(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox
) -> None:
    world = _world(sqlite_databases(), sandbox)
    made = bill(world)

    note_id = give(world, made, "2.00")
    late = interrupted(world, "create_credit_note", lambda: pay(sandbox, made))
    assert "the invoice was paid meanwhile" in late.send_invoice(made.id).waiting[note_id]
    assert balance(world) == 0
    world.instant += HOUR_US
    assert world.service.send_due().problems == {}
    assert (balance(world), [each.post_payment_amount for each in notes(sandbox)]) == (200, [200])


def test_a_process_that_was_taken_for_dead_gives_no_credit_again(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox
) -> None:
    """It stands still for longer than its claim; meanwhile another gives the note."""
    world = _world(sqlite_databases(), sandbox)
    made = bill(world)
    pay(sandbox, made)
    give(world, made, "2.00")

    def stand_still() -> None:
        world.instant += CLAIM_US
        assert world.service.send_invoice(made.id).problems == {}

    assert interrupted(world, "create_credit_note", stand_still).send_invoice(made.id).problems == {}
    assert (balance(world), [each.amount for each in notes(sandbox)]) == (200, [200])


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.CLOSED_BEFORE_APPLYING,
        FaultKind.APPLIED_THEN_CLOSES,
        FaultKind.ERROR_500,
        FaultKind.APPLIED_THEN_500,
        FaultKind.GARBLED_200,
        FaultKind.RATE_LIMITED_429,
    ],
)
def test_a_fault_is_tried_again_later_and_the_note_given_once(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, kind: FaultKind
) -> None:
    world = _world(sqlite_databases(), sandbox)
    made = bill(world)
    pay(sandbox, made)
    give(world, made, "2.00")
    times = (1,) if kind is FaultKind.RATE_LIMITED_429 else (1, 2, 3)
    sandbox.state.faults = FaultSchedule([Fault("POST", NOTES, nth=nth, kind=kind) for nth in times])
    for _ in range(4):
        world.service.send_invoice(made.id)
        world.instant += 25 * HOUR_US
        sandbox.state.advance(25 * 3600)  # Stripe has forgotten the key
    assert (balance(world), [each.amount for each in notes(sandbox)]) == (200, [200])


def test_what_stripe_refuses_is_for_a_person(world: World, sandbox: RunningSandbox) -> None:
    """Somebody credited the invoice at Stripe by hand."""
    made = bill(world)
    client = stripe_client(sandbox)
    by_hand = client.v1.credit_notes.create({"invoice": made.stripe_invoice_id or "", "amount": 400})
    note_id = give(world, made, "2.00")
    failed = world.service.send_invoice(made.id).failed
    assert failed[note_id].startswith("credit note not given at Stripe: ")
    report = world.service.run_month(OCTOBER)
    assert [account for account, _ in report.failed] == ["acme"]
    client.v1.credit_notes.void_credit_note(by_hand.id)
    assert world.service.run_month(OCTOBER).failed == []
    assert [each.amount for each in notes(sandbox) if each.status == "issued"] == [200]


def test_an_invoice_with_a_note_can_still_be_voided(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    give(world, made, "2.00", "usage")
    void_invoice(world.engine, made.id, "wrong", by="operator", now=world.instant)
    assert world.service.send_invoice(made.id).problems == {}
    assert [each.amount for each in notes(sandbox)] == [200]  # first things first
    assert show_invoice(world.engine, made.id).status == "void"
    assert bill(world).total == 500


def test_the_sandbox_takes_what_was_paid_for_out_of_band_and_no_more(
    world: World, sandbox: RunningSandbox
) -> None:
    made = bill(world)
    create = stripe_client(sandbox).v1.credit_notes.create
    of = {"invoice": made.stripe_invoice_id or ""}
    assert refusal(lambda: create({**of, "amount": 200, "out_of_band_amount": 200})).param == "credit_amount"
    assert refusal(lambda: create({**of, "amount": 501})).param == "amount"
    pay(sandbox, made)
    assert refusal(lambda: create({**of, "amount": 200})).param == "credit_amount"


def test_a_note_that_was_given_by_hand_at_stripe_is_booked(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    stripe_id = made.stripe_invoice_id or ""
    client = stripe_client(sandbox)
    given = client.v1.credit_notes.create({"invoice": stripe_id, "amount": 100})
    (told,) = reconcile(world.service, OCTOBER).differences
    assert (told.cause, told.amount) == ("credit notes differ", -100)
    assert "--stripe-note" in told.message
    for note, amount, says in (
        ("cn_unknown", "1.00", "has no credit note cn_unknown"),
        (given.id, "2.00", "is of 1.00 USD at Stripe, not 2.00 USD"),
        ("nonsense", "1.00", "no credit note"),
    ):
        with pytest.raises((Refused, Invalid), match=says):
            world.service.credit_note(made.id, amount, "goodwill", "by hand", by="ann", stripe_note=note)
    booked, delivery = world.service.credit_note(
        made.id, "1.00", "goodwill", "by hand", by="ann", stripe_note=given.id
    )
    assert delivery.problems == {}
    assert len(client.v1.credit_notes.list().data) == 1
    shown: Any = invoice_data(world.engine, show_invoice(world.engine, made.id), world.instant)
    assert [each["stripe_credit_note_id"] for each in shown["credit_notes"]] == [given.id]
    assert shown["credit_notes"][0]["sending"]["status"] == "done"
    assert reconcile(world.service, OCTOBER).differences == []
    with pytest.raises(Refused, match="already"):
        world.service.credit_note(made.id, "1.00", "goodwill", "again", by="ann", stripe_note=given.id)
    assert booked.amount == 100
