"""Voids at Stripe, through the real SDK to the sandbox: our state follows Stripe's; on both engines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from billing.credit_notes import credit_note
from billing.credits import add_credit, show_credit
from billing.errors import Refused
from billing.invoices import invoice_data, show_invoice
from billing.payments.desk import CLAIM_US
from billing.payments.errors import TryAgain
from billing.payments.state import apply, refresh, version
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import (
    TEST_KEY,
    Fault,
    FaultKind,
    FaultSchedule,
    RunningSandbox,
    StripeSandbox,
)
from billing.reconciliation.operation import reconcile
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.period import HOUR_US, MINUTE_US, SECOND_US
from tests.billing.months import bill, dollars
from tests.billing.payments.conftest import Clock
from tests.billing.payments.interrupted import interrupted
from tests.conftest import NewDatabase
from tests.events import runs
from tests.faults.in_process import Wire
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

VOID = "/v1/invoices/{invoice}/void"


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return _world(engine, sandbox)


def _world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    """Acme has two dollars of credit and owes three."""
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    world = dollars(engine, gateway, email="billing@acme.example")
    add_credit(engine, "acme", "2.00", "sorry", by="operator", now=world.instant)
    world.send(runs(5))
    return world


def ask(world: World, invoice: Invoice) -> Invoice:
    return void_invoice(world.engine, invoice.id, "wrong plan", by="operator", now=world.instant)


def at_stripe(sandbox: RunningSandbox) -> list[str]:
    return [str(each.status) for each in stripe_client(sandbox).v1.invoices.list({"limit": 10}).data]


def sending(world: World, invoice: Invoice) -> str:
    work: Any = invoice_data(world.engine, invoice, world.instant)["sending"]
    return str(work["status"])


def voiding(world: World, invoice: Invoice) -> Any:
    return invoice_data(world.engine, show_invoice(world.engine, invoice.id), world.instant)["voiding"]


def assert_void(world: World, invoice: Invoice) -> None:
    """Void here, its credit returned once, and nothing left to do."""
    held = show_invoice(world.engine, invoice.id)
    assert (held.status, held.void_reason) == ("void", "wrong plan")
    assert show_credit(world.engine, "acme")["balance"] == 200
    assert voiding(world, invoice) is None
    assert world.service.send_due().problems == {}
    again = bill(world)
    assert (again.total, again.number, again.replaces) == (300, "2026-10-000002", invoice.id)


def test_an_open_invoice_is_void_once_stripe_has_voided_it(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    asked = ask(world, made)
    assert (asked.status, show_credit(world.engine, "acme")["balance"]) == ("open", 0)
    assert voiding(world, made) == {
        "status": "pending", "step": "void", "attempts": 0, "error": None, "reason": "wrong plan"
    }  # fmt: skip
    again = void_invoice(world.engine, made.id, "twice", by="other", now=world.instant)
    assert (again.status, voiding(world, made)["reason"]) == ("open", "wrong plan")
    with pytest.raises(Refused, match="is about to be void"):
        credit_note(world.engine, made.id, "1", "goodwill", "sorry", by="operator", now=world.instant)
    assert world.service.send_invoice(made.id).problems == {}
    assert at_stripe(sandbox) == ["void"]
    assert_void(world, made)
    assert at_stripe(sandbox) == ["open", "void"]


def test_an_uncollectible_invoice_can_be_voided(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    stripe_client(sandbox).v1.invoices.mark_uncollectible(made.stripe_invoice_id or "")
    ask(world, made)
    world.service.send_invoice(made.id)
    assert_void(world, made)


def test_without_stripe_configured_the_void_waits(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    offline = World(world.engine)
    ask(offline, made)
    assert offline.service.send_invoice(made.id).problems == {}
    assert voiding(world, made)["status"] == "pending"
    world.service.run_month(OCTOBER)  # an operator runs the month again
    assert at_stripe(sandbox) == ["void"]
    assert show_invoice(world.engine, made.id).status == "void"


@pytest.mark.parametrize("step", ["/v1/customers", "/v1/invoices", "/v1/invoices/{invoice}/add_lines"])
def test_an_invoice_on_its_way_is_taken_back(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, step: str
) -> None:
    """Whatever of the sending happened, and however little we know of it: the answers were lost."""
    world = _world(sqlite_databases(), sandbox)
    lost = [Fault("POST", step, nth=nth, kind=FaultKind.APPLIED_THEN_CLOSES) for nth in (1, 2, 3)]
    sandbox.state.faults = FaultSchedule(lost)
    made = bill(world)
    ask(world, made)
    world.service.send_invoice(made.id)
    assert at_stripe(sandbox) == []
    sandbox.state.faults = FaultSchedule([])
    assert_void(world, made)
    assert show_invoice(world.engine, made.id).stripe_invoice_id is None
    assert at_stripe(sandbox) == ["open"]


def test_a_draft_that_somebody_deleted_at_stripe(world: World, sandbox: RunningSandbox) -> None:
    route = "/v1/invoices/{invoice}/finalize"
    lost = [Fault("POST", route, nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING) for nth in (1, 2, 3)]
    sandbox.state.faults = FaultSchedule(lost)
    made = bill(world)
    stripe_client(sandbox).v1.invoices.delete(made.stripe_invoice_id or "")
    ask(world, made)
    world.service.send_invoice(made.id)
    assert_void(world, made)


def test_one_that_was_paid_meanwhile_stays_paid(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    stripe_client(sandbox).v1.invoices.pay(made.stripe_invoice_id or "", {"paid_out_of_band": True})
    ask(world, made)
    (problem,) = world.service.send_invoice(made.id).failed.values()
    assert problem.startswith(f"not voided: invoice {made.number} was paid meanwhile; give the money back")
    held = show_invoice(world.engine, made.id)
    assert (held.status, held.amount_paid, held.void_entry) == ("paid", 300, None)
    assert show_credit(world.engine, "acme")["balance"] == 0
    assert (voiding(world, made)["status"], sending(world, held)) == (
        "failed", "done"
    )  # fmt: skip
    assert world.service.run_month(OCTOBER).failed == []  # it has failed for good
    with pytest.raises(Refused, match="is paid; give the money back with a credit note"):
        ask(world, made)


def test_one_that_was_paid_before_we_knew_that_stripe_has_it(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox
) -> None:
    world = _world(sqlite_databases(), sandbox)
    route = "/v1/invoices/{invoice}/finalize"
    lost = [Fault("POST", route, nth=nth, kind=FaultKind.APPLIED_THEN_CLOSES) for nth in (1, 2, 3)]
    sandbox.state.faults = FaultSchedule(lost)
    made = bill(world)
    stripe_client(sandbox).v1.invoices.pay(made.stripe_invoice_id or "", {"paid_out_of_band": True})
    ask(world, made)
    assert "was paid meanwhile" in world.service.send_invoice(made.id).failed[f"void-{made.id}"]
    held = show_invoice(world.engine, made.id)
    assert (held.status, sending(world, held)) == (
        "paid",
        "done",
    )  # type: ignore[index]
    credit_note(world.engine, made.id, "1", "goodwill", "sorry", by="operator", now=world.instant)
    assert world.service.send_due().problems == {}
    assert show_credit(world.engine, "acme")["balance"] == 100


def test_one_that_is_paid_between_our_look_and_our_request(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox
) -> None:
    world = _world(sqlite_databases(), sandbox)
    made = bill(world)

    def pay() -> None:
        stripe_client(sandbox).v1.invoices.pay(made.stripe_invoice_id or "", {"paid_out_of_band": True})

    ask(world, made)
    late = interrupted(world, "void_invoice", pay)
    assert "was paid meanwhile" in late.send_invoice(made.id).failed[f"void-{made.id}"]
    assert show_invoice(world.engine, made.id).status == "paid"


def test_one_that_is_finalized_between_our_look_and_our_request(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox
) -> None:
    world = _world(sqlite_databases(), sandbox)
    route = "/v1/invoices/{invoice}/finalize"
    lost = [Fault("POST", route, nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING) for nth in (1, 2, 3)]
    sandbox.state.faults = FaultSchedule(lost)
    made = bill(world)

    def finalize() -> None:
        stripe_client(sandbox).v1.invoices.finalize_invoice(made.stripe_invoice_id or "")

    ask(world, made)
    late = interrupted(world, "delete_draft", finalize)
    assert "is open at Stripe meanwhile" in late.send_invoice(made.id).waiting[f"void-{made.id}"]
    world.instant += HOUR_US
    world.service.send_due()
    assert_void(world, made)


def test_a_process_that_was_taken_for_dead_sends_nothing_any_more(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox
) -> None:
    """It stands still for longer than its claim; meanwhile another voids the invoice."""
    world = _world(sqlite_databases(), sandbox)

    def stand_still() -> None:
        world.instant += CLAIM_US
        ask(world, show_invoice(world.engine, "2026-10-000001"))
        assert world.service.send_invoice(made.id).problems == {}
        raise TryAgain("the network")

    (made,) = world.service.run_month(OCTOBER, send=False).invoices
    interrupted(world, "finalize_invoice", stand_still).send_invoice(made.id, kinds=("send",))
    held = show_invoice(world.engine, made.id)
    assert (held.status, sending(world, held)) == (
        "void",
        "withdrawn",
    )  # type: ignore[index]
    world.instant += HOUR_US
    world.service.send_due()
    assert at_stripe(sandbox) == []
    assert_void(world, made)


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
def test_a_fault_is_tried_again_later(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, kind: FaultKind
) -> None:
    world = _world(sqlite_databases(), sandbox)
    made = bill(world)
    ask(world, made)
    times = (1,) if kind is FaultKind.RATE_LIMITED_429 else (1, 2, 3)
    sandbox.state.faults = FaultSchedule([Fault("POST", VOID, nth=nth, kind=kind) for nth in times])
    for _ in range(4):
        if world.service.send_invoice(made.id).waiting:
            assert voiding(world, made)["status"] == "pending"
            assert show_credit(world.engine, "acme")["balance"] == 0
        world.instant += HOUR_US
    assert_void(world, made)


def test_a_void_by_a_person_at_stripe_has_the_same_effects_once(
    world: World, sandbox: RunningSandbox
) -> None:
    made = bill(world)
    stripe_client(sandbox).v1.invoices.void_invoice(made.stripe_invoice_id or "")
    assert world.service.gateway is not None
    held = world.service.gateway.get_invoice(made.stripe_invoice_id or "")
    for _ in range(2):
        apply(world.engine, made.id, held, world.instant, seen=version(world.engine, made.id))
    done = show_invoice(world.engine, made.id)
    assert (done.status, done.void_reason, done.void_entry) == (
        "void",
        "voided at Stripe",
        (made.entry or 0) + 1,
    )
    ledger: Any = show_credit(world.engine, "acme")["ledger"]
    assert [(each["kind"], each["amount"], each["author"]) for each in ledger[2:]] == [
        ("returned", 200, "Stripe")
    ]
    assert bill(world).replaces == made.id


def test_nothing_brings_a_void_invoice_back(world: World, sandbox: RunningSandbox) -> None:
    made = bill(world)
    assert world.service.gateway is not None
    while_open = world.service.gateway.get_invoice(made.stripe_invoice_id or "")
    ask(world, made)
    world.service.send_invoice(made.id)
    for status in ("open", "paid"):
        held = replace(while_open, status=status)
        assert apply(world.engine, made.id, held, world.instant, seen=version(world.engine, made.id))
        assert show_invoice(world.engine, made.id).status == "void"


def test_while_a_process_sends_the_void_waits(world: World, sandbox: RunningSandbox) -> None:
    """What another process has claimed may be at Stripe a moment later."""
    world.service.run_month(OCTOBER, send=False)
    made = show_invoice(world.engine, "2026-10-000001")
    with world.engine.begin() as connection:
        connection.execute(sa.text("UPDATE outbox SET claimed_until = :t"), {"t": world.instant + MINUTE_US})
    assert ask(world, made).status == "finalized"
    assert at_stripe(sandbox) == []
    world.instant += MINUTE_US  # that process died
    world.service.send_due()
    assert_void(world, made)


def test_another_stripe_that_does_not_have_the_invoice_voids_nothing(
    world: World, sandbox: RunningSandbox
) -> None:
    """The key of another account: what it does not have was not deleted, it never had it."""
    made = bill(world)
    elsewhere = StripeSandbox(clock=lambda: world.instant // SECOND_US)
    other = replace(world.service, gateway=StripeGateway(TEST_KEY, wire=Wire(elsewhere)))
    ask(world, made)
    (told,) = other.send_invoice(made.id).failed.values()
    assert "check that BILLING_STRIPE_API_KEY is of the right account" in told
    assert show_invoice(world.engine, made.id).status == "open"
    world.service.run_month(made.month)
    assert_void(world, made)


def test_what_was_finalized_by_hand_before_it_had_its_lines_can_be_void(
    world: World, sandbox: RunningSandbox
) -> None:
    """It asks for nothing at Stripe, and is not taken for a paid one."""
    route = "/v1/invoices/{invoice}/add_lines"
    fault = Fault("POST", route, nth=1, kind=FaultKind.ERROR_500_NO_RETRY)
    sandbox.state.faults = FaultSchedule([fault])
    world.service.run_month(OCTOBER)
    (draft,) = stripe_client(sandbox).v1.invoices.list().data
    stripe_client(sandbox).v1.invoices.finalize_invoice(draft.id)
    assert world.service.gateway is not None
    made = show_invoice(world.engine, "2026-10-000001")
    refresh(world.engine, world.service.gateway, made.id, draft.id, world.instant)
    held = show_invoice(world.engine, made.id)
    assert (held.status, held.stripe_status, held.amount_paid) == ("finalized", "paid", 0)
    told, _ = reconcile(world.service, OCTOBER).differences
    assert (told.cause, told.amount) == ("total differs", made.total)
    assert "billing invoices void" in told.message
    ask(world, made)
    world.service.send_invoice(made.id)
    assert show_invoice(world.engine, made.id).status == "void"
    again = bill(world)
    assert (again.status, again.replaces) == ("open", made.id)
    assert reconcile(world.service, OCTOBER).differences == []
