"""Invoices on their way to Stripe, through the real SDK to the sandbox; on both engines."""

from __future__ import annotations

import json
from datetime import date

import pytest
import sqlalchemy as sa

from billing.accounts import update_account
from billing.contract_invoices import invoice_contracts
from billing.contracts import load_contract_text
from billing.invoices import invoice_data, list_invoices, show_invoice
from billing.payments.outbox import Delivery
from billing.payments.rate import Pace
from billing.payments.state import apply, version
from billing.payments.stripe_gateway import LiveKeyRefused, StripeGateway
from billing.payments.stripe_sandbox import (
    Fault,
    FaultKind,
    FaultSchedule,
    RunningSandbox,
)
from billing.repository.rate import StoredRate
from metering.database import reading
from metering.period import HOUR_US, MINUTE_US, SECOND_US
from tests.billing.payments.conftest import Clock
from tests.conftest import NewDatabase
from tests.events import runs
from tests.settled import assert_settled, stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

STEPS = [
    "/v1/customers",
    "/v1/invoices",
    "/v1/invoices/{invoice}/add_lines",
    "/v1/invoices/{invoice}/finalize",
]


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    return _world(engine, sandbox)


def _world(engine: sa.Engine, sandbox: RunningSandbox) -> World:
    world = World(engine, gateway=StripeGateway(sandbox.api_key, api_base=sandbox.url))
    world.account(email="billing@acme.example")
    world.send(runs(10_400))
    return world


def test_an_invoice_is_created_filled_compared_and_finalized(world: World, sandbox: RunningSandbox) -> None:
    world.account("idle")
    world.account("free")
    world.send(runs(5, account="free"))
    report = world.service.run_month(OCTOBER)
    assert (report.finalized, report.sent, report.failed) == (2, 1, [])
    ours = {invoice.account: invoice for invoice in assert_settled(world.engine, sandbox, ["acme", "free"])}
    assert (ours["acme"].status, ours["acme"].total) == ("open", 100)
    assert (ours["free"].status, ours["free"].stripe_invoice_id) == ("paid", None)
    assert ours["acme"].hosted_invoice_url
    held = stripe_client(sandbox).v1.invoices.list({"limit": 1}).data[0]
    assert (held.collection_method, held.auto_advance, held.description) == (
        "send_invoice",
        True,
        "Task runs in 2026-10",
    )
    assert held.due_date == NOVEMBER_2 // SECOND_US + 30 * 86_400


def test_the_calls_are_few_and_each_post_has_a_key_of_its_own(world: World, sandbox: RunningSandbox) -> None:
    world.service.run_month(OCTOBER)
    calls = [(each.method, each.path.replace("in_", "…")) for each in sandbox.state.log]
    assert [method for method, _ in calls] == ["POST", "GET", "POST", "POST", "GET", "POST"]
    keys = [each.idempotency_key for each in sandbox.state.log if each.method == "POST"]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    again = world.service.run_month(OCTOBER)
    assert (again.sent, len(sandbox.state.log)) == (0, len(calls))


def test_a_customer_with_a_card_is_charged(world: World, sandbox: RunningSandbox) -> None:
    client = stripe_client(sandbox)
    customer = client.v1.customers.create({"name": "Acme"})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    world.customer("acme", customer.id)
    report = world.service.run_month(OCTOBER)
    invoice = show_invoice(world.engine, next(iter(report.invoices)).id)
    assert (invoice.status, invoice.amount_paid) == ("paid", 100)
    assert_settled(world.engine, sandbox, ["acme"])


def test_without_stripe_invoices_wait_and_a_later_run_sends_them(
    world: World, sandbox: RunningSandbox
) -> None:
    first = world.service.run_month(OCTOBER, send=False)
    assert (first.finalized, first.sent, next(iter(first.invoices)).status) == (1, 0, "finalized")
    assert world.service.run_month(OCTOBER).sent == 1
    assert_settled(world.engine, sandbox, ["acme"])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.CLOSED_BEFORE_APPLYING,
        FaultKind.APPLIED_THEN_CLOSES,
        FaultKind.ERROR_500,
        FaultKind.RATE_LIMITED_429,
    ],
)
def test_a_fault_in_any_call_is_tried_again_later(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, step: str, kind: FaultKind
) -> None:
    world = _world(sqlite_databases(), sandbox)
    # The SDK itself repeats most calls twice, but not one that was over a limit: the last fault reaches us.
    times = (1,) if kind is FaultKind.RATE_LIMITED_429 else (1, 2, 3)
    sandbox.state.faults = FaultSchedule([Fault("POST", step, nth=nth, kind=kind) for nth in times])
    report = world.service.run_month(OCTOBER)
    if report.sent == 0:
        assert [account for account, _ in report.failed] == ["acme"]
        sending = invoice_data(world.engine, next(iter(report.invoices)), world.instant)["sending"]
        assert isinstance(sending, dict)
        assert (sending["status"], sending["attempts"]) == ("pending", 1)
        assert world.service.send_due().sent == []  # not before its time
        world.instant += MINUTE_US
        # An error that Stripe keeps for a key is answered for as long as it keeps the key.
        if kind is FaultKind.ERROR_500:
            world.instant += 25 * HOUR_US
            sandbox.state.advance(25 * 3600)
        assert world.service.send_due().sent == [next(iter(report.invoices)).id]
    assert_settled(world.engine, sandbox, ["acme"])


@pytest.mark.parametrize("step", STEPS)
def test_after_a_day_when_stripe_forgot_the_key_what_exists_is_found(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, step: str
) -> None:
    world = _world(sqlite_databases(), sandbox)
    sandbox.state.faults = FaultSchedule(
        [Fault("POST", step, nth=nth, kind=FaultKind.APPLIED_THEN_CLOSES) for nth in (1, 2, 3)]
    )
    assert world.service.run_month(OCTOBER).sent == 0
    world.instant += 25 * HOUR_US
    sandbox.state.advance(25 * 3600)
    assert len(world.service.send_due().sent) == 1
    assert_settled(world.engine, sandbox, ["acme"])
    assert len(stripe_client(sandbox).v1.customers.list().data) == 1


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "kind", [FaultKind.GARBLED_200, FaultKind.APPLIED_THEN_500, FaultKind.ERROR_500_NO_RETRY]
)
def test_an_answer_that_says_nothing_is_not_the_end(
    sqlite_databases: NewDatabase, sandbox: RunningSandbox, step: str, kind: FaultKind
) -> None:
    """What Stripe keeps for a key it answers for a day; we look for what exists, and ask with a new key."""
    world = _world(sqlite_databases(), sandbox)
    sandbox.state.faults = FaultSchedule([Fault("POST", step, nth=nth, kind=kind) for nth in (1, 2, 3)])
    for _ in range(4):
        world.service.run_month(OCTOBER)
        world.instant += MINUTE_US
    assert_settled(world.engine, sandbox, ["acme"])
    assert len(stripe_client(sandbox).v1.customers.list().data) == 1


def test_a_draft_that_was_deleted_at_stripe_is_made_again(world: World, sandbox: RunningSandbox) -> None:
    route = "/v1/invoices/{invoice}/finalize"
    sandbox.state.faults = FaultSchedule(
        [Fault("POST", route, nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING) for nth in (1, 2, 3)]
    )
    assert world.service.run_month(OCTOBER).sent == 0
    client = stripe_client(sandbox)
    client.v1.invoices.delete(client.v1.invoices.list().data[0].id)
    assert world.service.run_month(OCTOBER).sent == 1
    assert_settled(world.engine, sandbox, ["acme"])


def test_a_draft_whose_customer_is_gone_is_not_made_twice(world: World, sandbox: RunningSandbox) -> None:
    route = "/v1/invoices/{invoice}/finalize"
    faults = [Fault("POST", route, nth=nth, kind=FaultKind.ERROR_500) for nth in (1, 2, 3)]
    sandbox.state.faults = FaultSchedule(faults)
    world.service.run_month(OCTOBER)
    (draft,) = stripe_client(sandbox).v1.invoices.list().data
    assert draft.status == "draft"
    update_account(world.engine, "acme", now=world.instant, name="Acme Corporation")
    stripe_client(sandbox).v1.customers.delete(str(draft.customer))
    world.instant += HOUR_US
    (told,) = world.service.send_due().problems.values()
    assert "No such customer" in told
    (invoice,) = list_invoices(world.engine)
    assert invoice.stripe_invoice_id == draft.id


def test_a_draft_that_is_not_ours_to_the_cent_is_never_finalized(
    world: World, sandbox: RunningSandbox
) -> None:
    sandbox.state.faults = FaultSchedule(
        [
            Fault("POST", "/v1/invoices/{invoice}/finalize", nth=nth, kind=FaultKind.CLOSED_BEFORE_APPLYING)
            for nth in (1, 2, 3)
        ]
    )
    report = world.service.run_month(OCTOBER)
    client = stripe_client(sandbox)
    draft = client.v1.invoices.list().data[0]
    client.v1.invoices.add_lines(draft.id, {"lines": [{"description": "Somebody's own", "amount": 1}]})
    again = world.service.run_month(OCTOBER)
    assert again.sent == 0
    assert "its total is 101, ours 100" in again.failed[0][1]
    assert client.v1.invoices.retrieve(draft.id).status == "draft"
    sending = invoice_data(world.engine, next(iter(report.invoices)), world.instant)["sending"]
    assert isinstance(sending, dict)
    assert sending["status"] == "failed"


def test_an_invoice_below_the_least_charge_says_where_its_amount_went(
    world: World, sandbox: RunningSandbox
) -> None:
    world.account("small")
    world.send(runs(10_100, account="small"))
    made = {invoice.account: invoice for invoice in world.service.run_month(OCTOBER).invoices}
    assert (made["small"].status, made["small"].total, made["small"].amount_paid) == ("paid", 25, 0)
    (note,) = invoice_data(world.engine, made["small"], world.instant)["notes"]  # type: ignore[misc]
    assert "below 0.50 USD, the least that Stripe charges" in note
    assert invoice_data(world.engine, made["acme"], world.instant)["notes"] == []


def test_a_state_that_was_overtaken_changes_nothing(world: World, sandbox: RunningSandbox) -> None:
    (invoice,) = world.service.run_month(OCTOBER).invoices
    gateway = world.service.gateway
    assert gateway is not None
    while_open = gateway.get_invoice(invoice.stripe_invoice_id or "")
    client = stripe_client(sandbox)
    client.v1.invoices.pay(while_open.id, {"paid_out_of_band": True})
    seen = version(world.engine, invoice.id)
    assert apply(world.engine, invoice.id, gateway.get_invoice(while_open.id), world.instant, seen=seen)
    assert not apply(world.engine, invoice.id, while_open, world.instant, seen=seen)
    assert show_invoice(world.engine, invoice.id).status == "paid"


def test_the_last_word_on_an_invoice_counts() -> None:
    delivery = Delivery(waiting={"a": "later", "b": "later"}, failed={"c": "see"})
    delivery.add(Delivery(sent=["a"], failed={"b": "see"}, waiting={"c": "later"}))
    assert delivery == Delivery(sent=["a"], waiting={"c": "later"}, failed={"b": "see"})


def test_a_live_key_is_refused_unless_asked_for() -> None:
    with pytest.raises(LiveKeyRefused, match="BILLING_STRIPE_LIVE=yes"):
        StripeGateway("sk_live_0123456789")
    with pytest.raises(LiveKeyRefused):
        StripeGateway("rk_live_0123456789")
    StripeGateway("sk_live_0123456789", live=True)


def test_a_contracts_invoice_that_failed_is_sent_by_the_command_that_it_names(
    world: World, sandbox: RunningSandbox
) -> None:
    """It belongs to no month that could be run again (seed 1015 of tests/faults/test_schedules.py)."""
    text = """{"id": "acme-2026", "account": "acme", "start": "2026-11-01", "end": "2027-11-01",
        "plan": "starter", "currency": "USD", "instalments": "upfront",
        "grants": [{"id": "g1", "runs": 10, "price": "120.00"}]}"""
    load_contract_text(world.engine, text, "acme.json", by="ann", now=world.instant)
    route = "/v1/invoices/{invoice}"
    sandbox.state.faults = FaultSchedule([Fault("GET", route, nth=1, kind=FaultKind.WRONG_TOTAL)])
    (made,) = invoice_contracts(world.engine, date(2026, 11, 2), now=world.instant)
    (problem,) = world.service.send_contracts().failed.values()
    assert "its total is 12001, ours 12000" in problem
    assert problem.endswith("then: billing contracts invoice")
    assert world.service.send_due().problems == {}  # not by itself
    assert world.service.send_contracts("another") == Delivery()
    assert world.service.send_contracts("acme-2026").sent == [made.id]
    assert show_invoice(world.engine, made.id).status == "open"


def test_what_stripe_refuses_is_told_with_what_to_do(world: World, sandbox: RunningSandbox) -> None:
    world.customer("acme", "cus_gone")
    (told,) = [message for _, message in world.service.run_month(OCTOBER).failed]
    assert told.startswith("not sent: Stripe refuses it (")
    assert told.endswith("); put right what it names, then: billing run 2026-10")


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED_429, FaultKind.LOCK_TIMEOUT_429])
def test_over_http_a_refusal_for_the_rate_is_waited_for(
    engine: sa.Engine, sandbox: RunningSandbox, kind: FaultKind
) -> None:
    waited: list[int] = []
    pace = Pace(StoredRate(engine), lambda: NOVEMBER_2 + sum(waited), waited.append)
    world = World(engine, gateway=StripeGateway(sandbox.api_key, api_base=sandbox.url, pace=pace, retries=0))
    world.account(email="billing@acme.example")
    world.send(runs(10_400))
    sandbox.state.faults = FaultSchedule([Fault("POST", "/v1/invoices", nth=1, kind=kind)])
    report = world.service.run_month(OCTOBER)
    (invoice,) = report.invoices
    sending = invoice_data(world.engine, invoice, world.instant)["sending"]
    assert isinstance(sending, dict) and sending["status"] == "pending"
    with reading(engine) as connection:
        shared = connection.execute(sa.text("SELECT data FROM stripe_rate")).scalar_one()
    assert (json.loads(shared).get("factor", 1.0) < 1) == (kind is FaultKind.RATE_LIMITED_429)
    world.instant += HOUR_US
    assert world.service.send_due().sent == [invoice.id]
