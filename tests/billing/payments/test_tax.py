"""Tax that Stripe adds: its own computation or fixed rates; what we compare, say and refuse; on both
engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import update_account
from billing.credit_notes import credit_note
from billing.credits import add_credit, show_credit
from billing.errors import Invalid
from billing.invoices import invoice_data, show_invoice
from billing.payments.state import refresh
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox
from billing.payments.tax import Tax, lines_at_stripe, tax_of
from billing.pricing.line import Line, LineKind
from billing.reconciliation.operation import reconcile
from billing.repository.invoices import Invoice
from metering.period import SECOND_US
from tests.billing.months import bill, dollars
from tests.billing.payments.conftest import Clock
from tests.events import runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

AUTOMATIC = Tax(automatic=True)
BERLIN: dict[str, Any] = {"line1": "Hauptstr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}


@pytest.fixture
def clock() -> Clock:
    """Stripe's time is ours."""
    return Clock(NOVEMBER_2 // SECOND_US)


@pytest.fixture
def taxed(engine: sa.Engine, sandbox: RunningSandbox) -> Callable[[Tax], World]:
    """A hundred dollars to bill, in a world where tax is 19 %."""

    def make(tax: Tax) -> World:
        sandbox.state.tax_percent = 19
        gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url, tax=tax)
        world = dollars(engine, gateway, email="billing@acme.example")
        world.send(runs(100))
        return world

    return make


def the_invoice(sandbox: RunningSandbox) -> Any:
    (held,) = stripe_client(sandbox).v1.invoices.list().data
    return held


def pay(world: World, sandbox: RunningSandbox, invoice: Invoice) -> Invoice:
    stripe_id = invoice.stripe_invoice_id or ""
    stripe_client(sandbox).v1.invoices.pay(stripe_id, {"paid_out_of_band": True})
    assert world.service.gateway is not None
    refresh(world.engine, world.service.gateway, invoice.id, stripe_id, world.instant)
    return show_invoice(world.engine, invoice.id)


@pytest.mark.parametrize("tax", [AUTOMATIC, Tax(rates=("txr_1",))])
def test_the_total_is_ours_and_the_tax_is_stripes(
    taxed: Callable[[Tax], World], sandbox: RunningSandbox, tax: Tax
) -> None:
    world = taxed(tax)
    update_account(world.engine, "acme", now=world.instant, **BERLIN)
    invoice = bill(world)
    held = the_invoice(sandbox)
    assert (held.total_excluding_tax, held.total, held.amount_due) == (10_000, 11_900, 11_900)
    assert held.automatic_tax.enabled is tax.automatic
    assert [each.id for each in held.default_tax_rates] == list(tax.rates)
    assert (invoice.status, invoice.total, invoice.amount_paid) == ("open", 10_000, 0)
    paid = pay(world, sandbox, invoice)
    assert (paid.status, paid.total, paid.amount_paid) == ("paid", 10_000, 11_900)
    assert reconcile(world.service, OCTOBER).differences == []
    notes = invoice_data(world.engine, paid, world.instant)["notes"]
    assert "What was paid has 19.00 USD of tax in it, which Stripe added to the total." in notes  # type: ignore[operator]


def test_by_default_there_is_no_tax(taxed: Callable[[Tax], World], sandbox: RunningSandbox) -> None:
    world = taxed(Tax())
    update_account(world.engine, "acme", now=world.instant, **BERLIN)
    bill(world)
    assert the_invoice(sandbox).total == 10_000
    (asked,) = [each for each in sandbox.state.log if each.route == "/v1/invoices" and each.method == "POST"]
    assert not asked.params.keys() & {"automatic_tax", "default_tax_rates"}


@pytest.mark.parametrize(("exempt", "total"), [("none", 11_900), ("exempt", 10_000), ("reverse", 10_000)])
def test_who_is_exempt(
    taxed: Callable[[Tax], World], sandbox: RunningSandbox, exempt: str, total: int
) -> None:
    world = taxed(AUTOMATIC)
    update_account(world.engine, "acme", now=world.instant, tax_exempt=exempt, **BERLIN)
    bill(world)
    held = the_invoice(sandbox)
    assert (held.customer_tax_exempt, held.total) == (exempt, total)


def test_an_exemption_that_ends(taxed: Callable[[Tax], World], sandbox: RunningSandbox) -> None:
    world = taxed(AUTOMATIC)
    update_account(world.engine, "acme", now=world.instant, tax_exempt="reverse", **BERLIN)
    bill(world)
    update_account(world.engine, "acme", now=world.instant, tax_exempt="none")
    world.send(runs(1, prefix="n", day="2026-11-03"))
    bill(world, OCTOBER.next())
    assert stripe_client(sandbox).v1.customers.list().data[0].to_dict()["tax_exempt"] == "none"
    with pytest.raises(Invalid, match="none, exempt, reverse"):
        update_account(world.engine, "acme", now=world.instant, tax_exempt="maybe")


def test_without_an_address_the_operator_is_told_what_to_do(
    taxed: Callable[[Tax], World], sandbox: RunningSandbox
) -> None:
    world = taxed(AUTOMATIC)
    (told,) = [message for _, message in world.service.run_month(OCTOBER).failed]
    assert told.startswith("not sent: Stripe cannot tell the tax of acme, whose address it does not know; ")
    assert "billing accounts update acme --line1 TEXT --postal-code TEXT --city TEXT --country CODE, " in told
    assert "then: billing run 2026-10 (" in told
    update_account(world.engine, "acme", now=world.instant, **BERLIN)
    report = world.service.run_month(OCTOBER)
    assert (report.sent, report.failed) == (1, [])
    assert the_invoice(sandbox).total == 11_900


def test_what_takes_off_is_taken_off_the_lines(
    taxed: Callable[[Tax], World], sandbox: RunningSandbox
) -> None:
    """Stripe's automatic tax takes no negative lines."""
    world = taxed(AUTOMATIC)
    update_account(world.engine, "acme", now=world.instant, **BERLIN)
    add_credit(world.engine, "acme", "30.00", "sorry", by="ann", now=world.instant)
    invoice = bill(world)
    assert (invoice.total, [line.amount for line in invoice.lines]) == (7_000, [10_000, -3_000])
    held = the_invoice(sandbox)
    assert (held.total_excluding_tax, held.total) == (7_000, 8_330)
    assert [(line.description, line.amount) for line in held.lines.data] == [
        ("Task runs 1 to 100 at 1 USD each (100.00 USD less 30.00 USD)", 7_000),
        ("Account credit: sorry (-30.00 USD, taken off other lines)", 0),
    ]
    assert reconcile(world.service, OCTOBER).differences == []


def line(amount: int) -> Line:
    return Line(LineKind.ADJUSTMENT, f"line {amount}", 1, None, Decimal(amount), amount)


@given(st.lists(st.integers(-1000, 1000), max_size=8).filter(lambda amounts: sum(amounts) >= 0))
def test_the_sum_is_the_same_and_nothing_is_negative(amounts: Sequence[int]) -> None:
    made = lines_at_stripe([line(each) for each in amounts], "USD", automatic=True)
    assert len(made) == len(amounts)
    assert sum(each.amount for each in made) == sum(amounts)
    assert all(each.amount >= 0 for each in made)
    plain = lines_at_stripe([line(each) for each in amounts], "USD", automatic=False)
    assert [each.amount for each in plain] == list(amounts)


def test_a_credit_note_on_an_invoice_with_tax_is_given_at_stripe(
    taxed: Callable[[Tax], World], sandbox: RunningSandbox
) -> None:
    world = taxed(AUTOMATIC)
    update_account(world.engine, "acme", now=world.instant, **BERLIN)
    invoice = pay(world, sandbox, bill(world))
    note = credit_note(world.engine, invoice.id, "10.00", "goodwill", "sorry", by="ann", now=world.instant)
    (told,) = world.service.send_invoice(invoice.id).failed.values()
    assert told == (
        "credit note not given at Stripe: invoice 2026-10-000001 has tax at Stripe, which a credit note "
        "gives back in part: give one of 10.00 USD before tax at Stripe, with the metadata "
        f"credit_note_id = {note.id}, then: billing run 2026-10"
    )
    assert stripe_client(sandbox).v1.credit_notes.list().data == []
    given: Any = {"invoice": invoice.stripe_invoice_id, "amount": 1190, "out_of_band_amount": 1190}
    stripe_client(sandbox).v1.credit_notes.create(given | {"metadata": {"credit_note_id": note.id}})
    assert world.service.run_month(OCTOBER).failed == []
    assert show_credit(world.engine, "acme")["balance"] == 1000  # what we credit has no tax in it
    assert len(stripe_client(sandbox).v1.credit_notes.list().data) == 1
    assert reconcile(world.service, OCTOBER).differences == []


def test_what_stripe_gave_back_itself_is_no_credit(
    taxed: Callable[[Tax], World], sandbox: RunningSandbox
) -> None:
    world = taxed(AUTOMATIC)
    update_account(world.engine, "acme", now=world.instant, **BERLIN)
    invoice = pay(world, sandbox, bill(world))
    note = credit_note(world.engine, invoice.id, "10.00", "goodwill", "sorry", by="ann", now=world.instant)
    world.service.send_invoice(invoice.id)
    given: Any = {"invoice": invoice.stripe_invoice_id, "amount": 1190, "credit_amount": 1190}
    stripe_client(sandbox).v1.credit_notes.create(given | {"metadata": {"credit_note_id": note.id}})
    assert world.service.run_month(OCTOBER).failed == []
    assert show_credit(world.engine, "acme")["balance"] == 0


def test_the_settings() -> None:
    assert tax_of("on", "") == AUTOMATIC
    assert tax_of("off", " txr_1,txr_2 ,").rates == ("txr_1", "txr_2")
    with pytest.raises(Invalid, match="exclude one another"):
        tax_of("on", "txr_1")
    with pytest.raises(Invalid, match="names 'vat', which is no tax rate"):
        tax_of("off", "vat")
