"""Credit notes without Stripe; on both engines."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.credit_notes import credit_note, show_credit_note, warning
from billing.credits import add_credit, show_credit
from billing.errors import Invalid, NotFound, Refused
from billing.invoices import invoice_data
from billing.pricing.line import LineKind
from billing.reporting.proof import verify
from billing.repository.credit_notes import CreditNote
from billing.repository.invoices import Invoice
from billing.tables import invoices as invoices_table
from metering.database import writing
from tests.billing.months import DECEMBER, NOVEMBER, bill, dollars, lines, void
from tests.events import runs
from tests.world import OCTOBER, World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return dollars(engine)


def give(world: World, invoice: Invoice, amount: str, kind: str = "goodwill") -> CreditNote:
    return credit_note(world.engine, invoice.id, amount, kind, "outage", by="operator", now=world.instant)


def test_a_note_has_a_number_of_its_month_and_a_place_in_the_books(world: World) -> None:
    world.send(runs(5))
    made = bill(world)
    notes = [give(world, made, "1.00"), give(world, made, "0.50", "usage")]
    assert [(n.number, n.amount, n.kind) for n in notes] == [
        ("2026-11-CN-000001", 100, "goodwill"),
        ("2026-11-CN-000002", 50, "usage"),
    ]
    assert [n.entry for n in notes] == [(made.entry or 0) + 1, (made.entry or 0) + 2]
    shown = invoice_data(world.engine, made, world.instant)["credit_notes"]
    assert shown == [show_credit_note(world.engine, n.id) for n in notes]
    assert (shown[0]["reason"], shown[0]["author"]) == ("outage", "operator")  # type: ignore[index]
    assert shown[0]["sending"]["status"] == "pending"  # type: ignore[index]
    assert verify(world.engine, world.store, made.id).ok
    with pytest.raises(NotFound):
        show_credit_note(world.engine, "cn_0")


def test_notes_come_to_the_total_at_most(world: World) -> None:
    world.send(runs(5))
    made = bill(world)
    give(world, made, "3.00")
    with pytest.raises(Refused, match=r"has 2\.00 USD left to credit") as caught:
        give(world, made, "2.01")
    assert caught.value.field == "amount"
    give(world, made, "2")
    with pytest.raises(Refused, match=r"has 0\.00 USD left to credit"):
        give(world, made, "0.01")


@pytest.mark.parametrize(
    ("amount", "kind", "field"),
    [("0", "usage", "amount"), ("-1", "usage", "amount"), ("1.001", "usage", "amount"),
     ("x", "usage", "amount"), ("1", "gift", "kind")],
)  # fmt: skip
def test_values_that_a_note_cannot_have(world: World, amount: str, kind: str, field: str) -> None:
    world.send(runs(5))
    made = bill(world)
    with pytest.raises(Invalid) as caught:
        give(world, made, amount, kind)
    assert caught.value.field == field
    assert invoice_data(world.engine, made, world.instant)["credit_notes"] == []


def test_invoices_that_have_nothing_to_credit(world: World) -> None:
    world.send(runs(5), runs(1, prefix="n", day="2026-11-03"))
    world.instant = OCTOBER.end
    (draft,) = world.service.run_month(OCTOBER, early=True).invoices
    with pytest.raises(Refused, match="is a draft"):
        give(world, draft, "1")
    made = bill(world)
    void(world, made)
    with pytest.raises(Refused, match="is void"):
        give(world, made, "1")
    add_credit(world.engine, "acme", "9.00", "sorry", by="operator", now=world.instant)
    with pytest.raises(Refused, match="has a total of zero"):
        give(world, bill(world, NOVEMBER), "1")


@pytest.mark.behind_the_back
def test_the_invoice_of_a_contract_takes_goodwill_alone(world: World) -> None:
    world.send(runs(5))
    made = bill(world)
    with writing(world.engine) as connection:
        connection.execute(invoices_table.update().values(kind="contract"))
    with pytest.raises(Invalid, match="give a note of kind goodwill"):
        give(world, made, "1", "usage")
    assert give(world, made, "1").amount == 100


def test_goodwill_is_not_billed_again_and_a_usage_note_is(world: World) -> None:
    world.send(runs(5), runs(1, prefix="n", day="2026-11-03"), runs(1, prefix="d", day="2026-12-03"))
    made = bill(world)
    gift = give(world, made, "1.00")
    assert warning(world.engine, gift) is None
    november = bill(world, NOVEMBER)
    assert lines(november) == [(LineKind.USAGE, None, 100)]
    note = give(world, made, "2.00", "usage")
    assert "less is billed now for 2026-10, and the next billing run of acme bills it again" in (
        warning(world.engine, note) or ""
    )
    december = bill(world, DECEMBER)
    assert lines(december) == [(LineKind.USAGE, None, 100), (LineKind.ADJUSTMENT, OCTOBER, 200)]
    for each in (made, november, december):
        assert verify(world.engine, world.store, each.id).ok


def test_a_note_of_a_void_invoice_has_no_say(world: World) -> None:
    world.send(runs(5), runs(1, prefix="n", day="2026-11-03"))
    made = bill(world)
    give(world, made, "2.00", "usage")
    void(world, made)
    assert (
        invoice_data(world.engine, made, world.instant)["credit_notes"][0]["sending"]["status"] == "withdrawn"
    )  # type: ignore[index]
    again = bill(world)
    assert lines(again) == [(LineKind.USAGE, None, 500)]
    assert lines(bill(world, NOVEMBER)) == [(LineKind.USAGE, None, 100)]
    assert show_credit(world.engine, "acme")["balance"] == 0
