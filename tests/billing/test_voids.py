"""Voids without Stripe: what they undo, and how a month is issued again; on both engines."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.credits import add_credit, show_credit
from billing.errors import Invalid, NotFound, Refused
from billing.invoices import invoice_data
from billing.pricing.line import LineKind
from billing.reporting.proof import verify
from billing.voids import void_invoice
from tests.billing.months import DECEMBER, NOVEMBER, bill, dollars, lines, void
from tests.events import event, runs
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return dollars(engine)


def test_an_invoice_that_stripe_never_had_is_void_at_once(world: World) -> None:
    world.send(runs(3))
    made = bill(world)
    done = void(world, made)
    assert (done.status, done.void_reason, done.voided_at) == ("void", "wrong plan", world.instant)
    assert done.void_entry == (made.entry or 0) + 1
    shown = invoice_data(world.engine, done, world.instant)
    assert (shown["sending"]["status"], shown["voiding"]) == ("withdrawn", None)  # type: ignore[index]
    assert verify(world.engine, world.store, done.id).ok


def test_what_cannot_be_voided(world: World) -> None:
    world.send(runs(3))
    world.instant = OCTOBER.end
    (draft,) = world.service.run_month(OCTOBER, early=True).invoices
    with pytest.raises(Refused, match="is a draft, which was never issued; the next billing run makes it"):
        void(world, draft)
    made = bill(world)
    with pytest.raises(Invalid, match="say why") as caught:
        void(world, made, " ")
    assert caught.value.field == "reason"
    with pytest.raises(Invalid, match="at most 200 characters"):
        void(world, made, "x" * 201)
    with pytest.raises(NotFound, match="there is no invoice 'inv_0'"):
        void_invoice(world.engine, "inv_0", "gone", by="operator", now=world.instant)
    assert void(world, made, "x" * 200).status == "void"
    with pytest.raises(Refused, match="is void already"):
        void(world, made)


def test_a_total_of_zero_can_be_voided(world: World) -> None:
    add_credit(world.engine, "acme", "5.00", "sorry", by="operator", now=world.instant)
    world.send(runs(3))
    made = bill(world)
    assert (made.status, made.total) == ("paid", 0)
    assert void(world, made).status == "void"


def test_credit_that_it_used_is_returned_once(world: World) -> None:
    add_credit(world.engine, "acme", "2.00", "sorry", by="operator", now=world.instant)
    world.send(runs(3))
    made = bill(world)
    assert (made.total, show_credit(world.engine, "acme")["balance"]) == (100, 0)
    void(world, made)
    held = show_credit(world.engine, "acme")
    assert held["balance"] == 200
    assert [each["kind"] for each in held["ledger"]] == ["goodwill", "used", "returned"]  # type: ignore[attr-defined]
    again = bill(world)
    assert (again.total, again.replaces, again.number) == (100, made.id, "2026-10-000002")
    assert verify(world.engine, world.store, again.id).ok


def test_credit_that_was_carried_over_and_spent_stands_in_the_way(world: World) -> None:
    world.send(runs(3), runs(2, prefix="n", day="2026-11-03"), runs(5, prefix="d", day="2026-12-03"))
    bill(world)
    world.send([event(f"run-000000{n}", state="ROLLED_BACK", end="2026-10-03T12:00:06Z") for n in range(3)])
    november = bill(world, NOVEMBER)
    assert lines(november)[1:] == [
        (LineKind.ADJUSTMENT, OCTOBER, -300), (LineKind.CARRIED, None, 100)
    ]  # fmt: skip
    december = bill(world, DECEMBER)
    assert (december.total, lines(december)[1]) == (400, (LineKind.CREDIT, None, -100))
    with pytest.raises(Refused, match=f"carried over 1.00 USD, which invoice {december.number} used; void"):
        void(world, november)
    void(world, december)
    void(world, november)
    assert show_credit(world.engine, "acme")["balance"] == 0


def test_an_adjustment_is_open_again_once_its_invoice_is_void(world: World) -> None:
    world.send(runs(3), runs(1, prefix="n", day="2026-11-03"))
    bill(world)
    world.send(runs(2, prefix="late"))
    november = bill(world, NOVEMBER)
    assert lines(november) == [(LineKind.USAGE, None, 100), (LineKind.ADJUSTMENT, OCTOBER, 200)]
    void(world, november)
    again = bill(world, NOVEMBER)
    assert lines(again) == lines(november)
    assert (again.replaces, again.number) == (november.id, "2026-11-000002")


def test_a_month_issued_again_takes_off_what_a_later_invoice_adjusted(world: World) -> None:
    """October is billed, adjusted by November, voided, and billed again with all its runs: November's line
    for it is taken off, and nothing is billed twice."""
    world.send(runs(3), runs(1, prefix="n", day="2026-11-03"), runs(1, prefix="d", day="2026-12-03"))
    october = bill(world)
    world.send(runs(2, prefix="late"))
    november = bill(world, NOVEMBER)
    void(world, october)
    again = bill(world)
    assert lines(again) == [(LineKind.USAGE, None, 500), (LineKind.ADJUSTMENT, OCTOBER, -200)]
    assert again.lines[1].description == "Already on other invoices for 2026-10"
    assert (again.replaces, again.number, again.total) == (october.id, "2026-10-000002", 300)
    december = bill(world, DECEMBER)
    assert lines(december) == [(LineKind.USAGE, None, 100)]
    assert sum(each.total for each in (again, november, december)) == 700
    for each in (october, november, again, december):
        assert verify(world.engine, world.store, each.id).differences == ()


def test_an_invoice_issued_again_may_be_voided_again(world: World) -> None:
    world.send(runs(3))
    numbers = []
    for _ in range(3):
        made = bill(world)
        numbers.append((made.number, void(world, made).status))
    assert numbers == [(f"2026-10-00000{n}", "void") for n in (1, 2, 3)]
    assert bill(world).number == "2026-10-000004"
