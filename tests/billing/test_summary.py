"""The month so far is what `preview` says of it, whatever was invoiced before and came late since."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.contracts import load_contract_text
from billing.credit_notes import credit_note
from billing.invoices import preview
from billing.summary import account_summary
from metering.period import DAY_US, Month, parse_instant
from tests.billing.payments.till import Till
from tests.events import runs
from tests.world import World

CONTRACT = """{"id":"acme-2026","account":"acme","start":"2026-01-01","end":"2026-03-01",
 "plan":"standard@2021-02","currency":"USD","instalments":"upfront",
 "grants":[{"id":"g1","runs":12000,"price":"90.00","granted_on":"2026-01-01","expires_on":"2026-03-01"},
  {"id":"g2","runs":1000,"price":"9.00","granted_on":"2026-02-10","expires_on":"2026-03-01"}]}"""


@pytest.mark.parametrize("contract", [False, True], ids=["monthly", "a contract that has ended"])
def test_the_amount_is_that_of_the_preview(engine: sa.Engine, contract: bool) -> None:
    """Three months are invoiced; then more of their runs come, some of which the contract still serves."""
    world = World(engine, now=parse_instant("2026-01-01T00:00:00Z"))
    world.account("acme", plan="standard", since="2026-01")
    if contract:
        load_contract_text(world.engine, CONTRACT, "c.json", by="test", now=world.instant)
    month = Month(2026, 1)
    while month < Month(2026, 11):
        if month.number in (1, 2, 9):
            world.send(runs(10_400, day=f"{month}-05", prefix=f"run-{month}"))
        world.instant = month.end + 2 * DAY_US
        world.service.run_month(month)
        month = month.next()
    world.instant = parse_instant("2026-11-20T10:00:00Z")
    world.send(runs(10_100, day="2026-11-03", prefix="november"))
    for day, quantity in (("2026-01-03", 700), ("2026-02-01", 900), ("2026-02-28", 60), ("2026-09-09", 200)):
        world.send(runs(quantity, day=day, prefix=f"late-{day}"))
    found = account_summary(world.service, "acme")
    said = preview(world.engine, world.store, "acme", Month(2026, 11))
    assert found.outlook is not None
    document = found.outlook.document.to_data()
    # Free ones and others; three months are adjusted, but January had committed runs for what came late.
    assert len(found.outlook.document.lines) == 2 + (2 if contract else 3)
    assert document["lines"] == said["lines"] and document["total"] == said["total"]
    assert (document["billable"], found.counts.billable) == (said["billable"], 10_100)
    # What is expected is adjusted by as much: nothing that is still to come changes what was.
    ended = found.outlook.expected
    assert ended is not None and ended.billable == 10_100
    assert ended.total == found.outlook.document.total


def test_what_waits_to_be_paid_says_until_when(engine: sa.Engine) -> None:
    """Nothing is wrong with it: it was sent, and is to be paid in some weeks."""
    till = Till(engine)
    till.deliver()
    (due,) = account_summary(till.world.service, "acme").due
    assert due.collected is not None and due.collected.due_at is not None
    assert due.amount == due.collected.amount_remaining == 2500


def test_what_a_note_takes_off_is_not_to_be_paid(engine: sa.Engine) -> None:
    """At once, and once only: before the invoice is at Stripe, before the note is, and after."""
    till = Till(engine)
    world = till.world
    number = till.invoice.number or ""

    def give(amount: str) -> None:
        credit_note(engine, number, amount, "goodwill", "x", by="o", now=world.instant)

    def due() -> int:
        (found,) = account_summary(world.service, "acme").due
        return found.amount

    assert due() == 2500
    give("1.00")
    assert due() == 2400
    till.deliver()
    assert due() == 2400
    give("2.00")
    assert due() == 2200
    till.deliver()
    assert due() == 2200
