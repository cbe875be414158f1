"""Payments and what went back, part by part: they come to what is said of the whole, each in its time."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from billing.invoices import show_invoice
from billing.payments import state
from billing.reporting.everything import prove
from billing.repository import collection
from billing.repository.collection import Record
from billing.repository.invoices import Invoice
from metering.database import writing
from metering.period import DAY_US
from tests.billing.months import bill, dollars, stripe_invoice
from tests.events import runs
from tests.world import OCTOBER, World

pytestmark = pytest.mark.behind_the_back


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """An invoice of 10.00, paid in two parts, with a refund that failed and a dispute that was lost."""
    world = dollars(engine)
    world.send(runs(10))
    invoice = bill(world)
    stripe_says(world, invoice, "open", 400)
    stripe_says(world, invoice, "paid", 1000)
    for status in ("pending", "failed"):
        made = [("re_1", "refund", status, 300), ("dp_1", "dispute", "lost", 200)]
        records = [
            Record(id, kind, amount, "USD", said, "", world.instant) for id, kind, said, amount in made
        ]
        world.instant += DAY_US
        with writing(world.engine) as connection:
            collection.put_records(connection, invoice.id, records, world.instant)
    return world


def stripe_says(world: World, invoice: Invoice, status: str, amount: int) -> None:
    """A day later Stripe has collected so much of an invoice."""
    world.instant += DAY_US
    held = stripe_invoice(invoice, status, amount)
    seen = state.version(world.engine, invoice.id)
    assert state.apply(world.engine, invoice.id, held, world.instant, seen=seen)


def found(world: World) -> list[str]:
    return [each.says for each in prove(world.engine, world.store, now=world.instant).beside]


def rewrite(world: World, statement: str) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql(statement)


NUMBER = "2026-10-000001"
PAID = f"no payment of invoice {NUMBER} is of when the trail says that it was paid"
WAYS = [
    ("DELETE FROM invoice_payments", f"the payments of invoice {NUMBER} come to 0, and it says 1000"),
    (
        "DELETE FROM invoice_payments WHERE number = 1",
        f"the payments of invoice {NUMBER} come to 600, and it says 1000",
    ),
    (
        "UPDATE invoice_payments SET amount = amount + 1 WHERE number = 2",
        f"the payments of invoice {NUMBER} come to 1001, and it says 1000",
    ),
    (
        "UPDATE invoices SET amount_paid = 900",
        f"the payments of invoice {NUMBER} come to 1000, and it says 900",
    ),
    (
        "UPDATE invoice_payments SET number = 7 WHERE number = 1",
        f"the payments of invoice {NUMBER} are not numbered from 1 on",
    ),
    ("UPDATE invoice_payments SET at = at + 1 WHERE number = 2", PAID),
    ("UPDATE invoice_payments SET at = at + 31536000000000 WHERE number = 2", PAID),
    ("UPDATE invoice_payments SET at = 0 WHERE number = 1", "the payment of "),
    ("UPDATE invoice_payments SET at = at + 31536000000000 WHERE number = 1", "the payment of "),
    ("DELETE FROM invoice_reversals", "what went back by dp_1 come to 0, and it says 200"),
    (
        "UPDATE invoice_reversals SET amount = 250 WHERE record_id = 'dp_1'",
        "what went back by dp_1 come to 250, and it says 200",
    ),
    (
        "UPDATE stripe_records SET status = 'won' WHERE id = 'dp_1'",
        "what went back by dp_1 come to 200, and it says 0",
    ),
    (
        "UPDATE invoice_reversals SET kind = 'refund' WHERE record_id = 'dp_1'",
        "there is no invoice, or no record of Stripe's, for the refund of dp_1",
    ),
    ("UPDATE invoice_reversals SET at = 0 WHERE record_id = 'dp_1'", "the dispute of dp_1 is from before "),
]


@pytest.mark.parametrize(("statement", "says"), WAYS)
def test_parts_come_to_the_whole_each_in_its_time(world: World, statement: str, says: str) -> None:
    assert prove(world.engine, world.store, now=world.instant).ok
    rewrite(world, statement)
    assert any(each.startswith(says) for each in found(world)), found(world)


def test_a_payment_of_no_invoice_is_found(world: World) -> None:
    statement = "INSERT INTO invoice_payments VALUES ('inv_none', 1, 5, 7)"
    if world.engine.dialect.name == "postgresql":
        rewrite(world, "ALTER TABLE invoice_payments DROP CONSTRAINT invoice_payments_invoice_id_fkey")
        rewrite(world, statement)
    else:
        with closing(sqlite3.connect(str(world.engine.url.database))) as connection, connection:
            connection.execute(statement)
    assert found(world) == ["there is no invoice, or no record of Stripe's, for the payment of inv_none"]


def test_a_clock_that_was_put_back_is_no_finding(world: World) -> None:
    """The invoice was issued a month ahead of time; what the trail has since is of the right one."""
    world.account("beta", plan="dollar", since="2026-10")
    world.send(runs(3, account="beta"))
    world.instant += 30 * DAY_US
    world.service.run_month(OCTOBER)
    world.instant -= 29 * DAY_US
    world.account("gamma", plan="dollar", since="2026-10")
    with world.engine.connect() as connection:
        newest = connection.scalar(sa.text("SELECT id FROM invoices WHERE account_id = 'beta'"))
    stripe_says(world, show_invoice(world.engine, str(newest)), "open", 100)
    assert found(world) == []


def test_what_is_paid_without_a_payment_is_no_finding(engine: sa.Engine) -> None:
    """As by a credit note of Stripe's: there is no payment of the instant at which it was."""
    world = dollars(engine)
    world.send(runs(10))
    invoice = bill(world)
    stripe_says(world, invoice, "open", 600)
    stripe_says(world, invoice, "paid", 600)
    assert found(world) == []
