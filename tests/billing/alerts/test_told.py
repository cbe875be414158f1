"""What happens to invoices and disputes is told in the transaction in which it happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from billing.disputes import raise_dispute
from billing.notification_tables import events
from billing.notifications.endpoints import add_endpoint
from billing.notifications.telling import EVENT_TYPES, MAILED_TO_ACCOUNT, MAILED_TO_OPERATOR
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.database import reading
from metering.period import HOUR_US
from tests.billing.months import bill_all, dollars
from tests.billing.payments.till import Till
from tests.events import runs
from tests.world import OCTOBER, World


def listen(world: World) -> None:
    add_endpoint(world.engine, "https://example.com/hooks", private=False, by="test", now=world.instant)


def told(engine: sa.Engine) -> list[tuple[str, dict[str, Any]]]:
    with reading(engine) as connection:
        rows = connection.execute(sa.select(events).order_by(events.c.id)).all()
    return [(row.type, json.loads(row.body)["data"]) for row in rows]


def types(engine: sa.Engine) -> list[str]:
    return [type_ for type_, _ in told(engine)]


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return dollars(engine)


def test_invoices_of_a_month_are_told_of_and_free_ones_are_paid(world: World) -> None:
    """By the hundred, and one alone."""
    for name in ("b", "c"):
        world.account(name)
        world.send(runs(3, account=name, prefix=name))
    world.send(runs(2))
    listen(world)
    found: dict[str, Invoice] = {each.account: each for each in bill_all(world)}
    assert sorted((type_, data["account"]) for type_, data in told(world.engine)) == [
        ("invoice.finalized", "acme"),
        ("invoice.finalized", "b"),
        ("invoice.finalized", "c"),
        ("invoice.paid", "b"),
        ("invoice.paid", "c"),
    ]
    data = next(data for _, data in told(world.engine) if data["account"] == "acme")
    number = found["acme"].number
    assert (data["number"], data["total"], data["status"]) == (number, 200, "finalized")
    assert data["message"] == f"Invoice {number} of acme was issued."
    bill_all(world)
    assert len(told(world.engine)) == 5
    void_invoice(world.engine, found["acme"].id, "wrong", by="test", now=world.instant)
    type_, data = told(world.engine)[-1]
    assert (type_, data["status"]) == ("invoice.voided", "void")
    bill_all(world)
    assert types(world.engine).count("invoice.finalized") == 4


def test_drafts_are_not_told_of(world: World) -> None:
    world.send(runs(2))
    listen(world)
    world.instant = OCTOBER.end + HOUR_US
    world.service.run_month(OCTOBER, early=True)
    assert told(world.engine) == []


def test_a_dispute_is_told_to_the_operator_and_its_answer_to_the_customer(world: World) -> None:
    world.send(runs(2))
    raised = raise_dispute(
        world.engine,
        world.store,
        "acme",
        ["run-0000001"],
        "a test",
        raised_by="Ada",
        by="test",
        now=world.instant,
    )
    for _ in range(2):
        world.service.answer_dispute(raised.id, reply="Right.", reverse_runs=[], by="operator")
    (first, second) = told(world.engine)
    assert (first[0], first[1]["message"]) == ("dispute.raised", "Ada of acme disputes a task run: a test")
    assert (second[0], second[1]["status"], second[1]["runs_reversed"]) == (
        "dispute.answered",
        "corrected",
        1,
    )


def test_what_stripe_collects_is_told_of_once(engine: sa.Engine) -> None:
    till = Till(engine)
    listen(till.world)
    till.deliver()
    assert types(engine) == []
    till.pay()
    sent = till.webhooks()
    for webhook in [*sent, *reversed(sent)]:
        till.receive(webhook)
    ((type_, data),) = told(engine)
    assert (type_, data["status"], data["amount_paid"]) == ("invoice.paid", "paid", 2500)


def test_each_attempt_that_failed_is_told_of_once(engine: sa.Engine) -> None:
    till = Till(engine, card="pm_card_chargeCustomerFail")
    for attempts in (1, 2):
        till.deliver()
        till.deliver()
        found = told(engine)
        assert [(type_, data["attempts"]) for type_, data in found] == [
            ("invoice.payment_failed", each) for each in range(1, attempts + 1)
        ]
        till.pass_time(4 * 86_400)
    assert found[0][1]["message"] == (
        "Invoice 2026-10-000001 of acme could not be collected: Your card was declined."
    )


def test_all_that_is_mailed_is_documented() -> None:
    assert EVENT_TYPES.keys() >= MAILED_TO_ACCOUNT | MAILED_TO_OPERATOR
