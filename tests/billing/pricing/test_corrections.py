"""What the past changes on an invoice: adjustments, credit, what is carried; and the whole stack in order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from billing.pricing.adjustment import Adjustment, Priced, billed_for, priced
from billing.pricing.credit import Credit, CreditUse, consume
from billing.pricing.errors import AmountError, TermsError
from billing.pricing.price_protection import PriceProtection
from metering.period import Month
from tests.billing.pricing.contracts import day
from tests.billing.pricing.data import plan
from tests.billing.pricing.terms import AUGUST, OCTOBER, SEPTEMBER, basis, changes, invoice, program

# Adjustments


@pytest.mark.parametrize(
    ("runs", "on_demand", "description"),
    [
        (1_200, False, "Adjustment for 2026-09: 1,200 task runs more"),
        (1, False, "Adjustment for 2026-09: 1 task run more"),
        (-12, False, "Adjustment for 2026-09: 12 task runs fewer"),
        (-1, True, "Adjustment for 2026-09: 1 on-demand task run fewer"),
        (0, False, "Adjustment for 2026-09: no change in task runs"),
    ],
)
def test_an_adjustment_names_the_month_and_the_change_in_runs(
    runs: int, on_demand: bool, description: str
) -> None:
    adjustment = Adjustment(SEPTEMBER, Priced(2_700, 20_000 + runs), Priced(2_500, 20_000), on_demand)
    line = invoice(0, adjustments=(adjustment,)).lines[-1]
    assert (line.description, line.quantity, line.amount, line.month) == (description, runs, 200, SEPTEMBER)
    assert line.to_data()["month"] == "2026-09"


def test_adjustments_come_by_month_and_only_where_the_amount_differs() -> None:
    document = invoice(
        20_000,
        adjustments=(
            Adjustment(SEPTEMBER, Priced(500, 12_000), Priced(700, 12_800)),
            Adjustment(AUGUST, Priced(100, 10_400), Priced(0, 9_000)),
            Adjustment(Month(2025, 12), Priced(0, 9_500), Priced(0, 9_000)),
        ),
    )
    assert [(line.month, line.amount) for line in document.lines[2:]] == [(AUGUST, 100), (SEPTEMBER, -200)]
    assert document.total == 2_400


def test_what_was_billed_for_a_month() -> None:
    """Lines 1 to 3 of its invoice, adjustments for it anywhere, less usage credit notes; nothing else."""
    own = invoice(
        20_000,
        programs=(program("10"),),
        protection=PriceProtection(2_000, day("2027-01-01")),
        adjustments=(Adjustment(SEPTEMBER, Priced(900, 1), Priced(0, 0)),),
        credits=(Credit("c", 50, 0, "goodwill"),),
    ).lines
    later = replace(own[-2], month=OCTOBER, amount=300, exact_amount=Decimal(3), quantity=120)
    assert priced(own) == Priced(2_000, 20_000)
    assert billed_for(OCTOBER, own, ()) == Priced(2_000, 20_000)
    assert billed_for(OCTOBER, own, (later, later)) == Priced(2_600, 20_240)
    assert billed_for(OCTOBER, own, (later,), credited=250) == Priced(2_050, 20_120)
    assert billed_for(SEPTEMBER, (), own) == Priced(900, 1)
    assert billed_for(AUGUST, (), own) == Priced()


def test_an_invoice_issued_again_takes_off_what_others_billed_for_its_month() -> None:
    """October cost 25.00; 3.00 more was adjusted on November's invoice; then October's was voided."""
    november = invoice(0, adjustments=(Adjustment(SEPTEMBER, Priced(300, 1_200), Priced()),)).lines
    others = tuple(replace(line, month=OCTOBER) for line in november)
    netting = Adjustment(OCTOBER, Priced(), billed_for(OCTOBER, (), others))
    again = invoice(21_200, adjustments=(netting,))
    assert changes(again) == [("adjustment", "Already on other invoices for 2026-10", -300)]
    assert again.total == 2_500
    assert billed_for(OCTOBER, again.lines, others) == Priced(2_800, 21_200) == priced(again.lines)


@pytest.mark.parametrize(
    ("adjustments", "message"),
    [
        ((Adjustment(SEPTEMBER, Priced(1), Priced()),) * 2, "adjusted once"),
        ((Adjustment(OCTOBER.next(), Priced(1), Priced()),), "months before it, not 2026-11"),
        ((Adjustment(OCTOBER, Priced(1), Priced()),), "on the invoice itself"),
    ],
)
def test_adjustments_that_contradict(adjustments: tuple[Adjustment, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        basis(1, adjustments=adjustments)


# Credit and what is carried

OLD = Credit("z", 1_000, 1, "referral of beta")
NEW = Credit("a", 5_000, 2, "goodwill")


def test_credits_are_drawn_oldest_first_down_to_zero() -> None:
    document = invoice(20_000, credits=(NEW, OLD))
    assert changes(document) == [
        ("credit", "Account credit: referral of beta", -1_000),
        ("credit", "Account credit: goodwill", -1_500),
    ]
    assert document.total == 0
    assert document.credits_used == (CreditUse("z", 1_000), CreditUse("a", 1_500))
    assert document.lines[-1].to_data()["reference"] == "a"
    assert document.carried == 0


@pytest.mark.parametrize(
    ("due", "uses"),
    [
        (-1, []),
        (0, []),
        (1, [("z", 1)]),
        (1_000, [("z", 1_000)]),
        (1_001, [("z", 1_000), ("a", 1)]),
        (9_000, [("z", 1_000), ("a", 5_000)]),
    ],
)
def test_how_much_of_each_credit(due: int, uses: list[tuple[str, int]]) -> None:
    assert consume((NEW, OLD), due) == tuple(CreditUse(*use) for use in uses)


def test_credits_of_one_instant_are_drawn_by_id() -> None:
    assert consume((replace(OLD, id="b"), replace(OLD, id="a")), 1) == (CreditUse("a", 1),)


def test_a_negative_month_is_carried_and_consumes_no_credit() -> None:
    reversal = Adjustment(SEPTEMBER, Priced(0, 100), Priced(4_000, 26_000))
    document = invoice(20_000, adjustments=(reversal,), credits=(OLD,))
    assert changes(document) == [
        ("adjustment", "Adjustment for 2026-09: 25,900 task runs fewer", -4_000),
        ("carried", "Carried over as account credit", 1_500),
    ]
    assert (document.total, document.carried, document.credits_used) == (0, 1_500, ())


@pytest.mark.parametrize("amount", [0, -1])
def test_credits_that_are_none(amount: int) -> None:
    with pytest.raises(TermsError, match="credit c: its amount must be above 0"):
        Credit("c", amount, 0, "goodwill")
    with pytest.raises(ValueError, match="a credit comes once"):
        basis(1, credits=(OLD, OLD))


# All of them


def test_the_whole_stack_in_its_order() -> None:
    """25.00, half off, capped at 10.00, 3.00 more for September, 50.00 of credit."""
    document = invoice(
        20_000,
        programs=(program("50"),),
        protection=PriceProtection(1_000, day("2027-01-01")),
        adjustments=(Adjustment(SEPTEMBER, Priced(300, 11_200), Priced(0, 10_000)),),
        credits=(NEW,),
    )
    assert [(line.kind.value, line.amount) for line in document.lines] == [
        ("usage", 0),
        ("usage", 2_500),
        ("program_discount", -1_250),
        ("price_protection", -250),
        ("adjustment", 300),
        ("credit", -1_300),
    ]
    assert document.total == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"protection": PriceProtection(150, day("2027-01-01"))},
        {"credits": (Credit("c", 150, 0, "goodwill"),)},
        {"adjustments": (Adjustment(SEPTEMBER, Priced(150), Priced()),)},
    ],
)
def test_amounts_are_of_coins_that_exist(terms: dict[str, Any]) -> None:
    krona = plan((None, "100"), currency="ISK")
    with pytest.raises(AmountError, match=r"1\.50 ISK is not an amount; ISK has no decimals"):
        basis(5, krona, **terms)
    assert invoice(5, krona, programs=(program("33"),)).total == 33_500
