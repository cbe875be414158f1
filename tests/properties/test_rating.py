"""Rating against a second computation that shares no code with it: whole numbers, scaled by 10^12."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.pricing.catalogue import Bracket, PlanVersion
from billing.pricing.invoice import Basis, compose
from billing.pricing.money import format_amount, parse_amount, round_to_minor
from billing.pricing.plan_file import plans_from_data
from billing.pricing.rating import rate, standing
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts

PLACES = {"USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "KWD": 3, "TND": 3}
SCALE = 10**12

prices = st.integers(0, 10**18) | st.integers(0, 10**10)  # in 10^-12 of the major unit
quantities = st.integers(0, 10**12) | st.integers(0, 200)
codes = st.sampled_from(sorted(PLACES))


@st.composite
def versions(draw: st.DrawFn) -> PlanVersion:
    bounds = sorted(draw(st.sets(st.integers(1, 10**12) | st.integers(1, 150), max_size=6)))
    return PlanVersion(
        plan="random",
        version="v1",
        effective_from=date(2021, 2, 1),
        currency=draw(codes),
        soft_limit=None,
        brackets=tuple(Bracket(up_to, Decimal(draw(prices)).scaleb(-12)) for up_to in (*bounds, None)),
    )


def expected_amounts(quantity: int, version: PlanVersion) -> list[int]:
    """Bracket by bracket, in integers: amount = floor(2·q·p·10^places / 10^12 + 1) / 2, half up."""
    amounts, lower = [], 0
    for bracket in version.brackets:
        upper = quantity if bracket.up_to is None else min(quantity, bracket.up_to)
        if upper > lower:
            price = Fraction(bracket.unit_price) * SCALE
            assert price.denominator == 1
            scaled = (upper - lower) * price.numerator * 10 ** PLACES[version.currency]
            amounts.append((2 * scaled + SCALE) // (2 * SCALE))
        lower = bracket.up_to or lower
    return amounts


@given(quantities, versions())
def test_every_bracket_agrees_with_whole_number_arithmetic(quantity: int, version: PlanVersion) -> None:
    assert [rated.amount for rated in rate(quantity, version)] == expected_amounts(quantity, version)


@given(st.data(), versions())
def test_quantities_at_the_bounds_agree_too(data: st.DataObject, version: PlanVersion) -> None:
    bounds = [bracket.up_to for bracket in version.brackets if bracket.up_to is not None] or [1]
    quantity = max(0, data.draw(st.sampled_from(bounds)) + data.draw(st.integers(-1, 1)))
    assert [rated.amount for rated in rate(quantity, version)] == expected_amounts(quantity, version)


@given(quantities, versions())
def test_no_run_is_lost_or_rated_twice(quantity: int, version: PlanVersion) -> None:
    rated = rate(quantity, version)
    assert sum(item.quantity for item in rated) == quantity
    assert [item.first for item in rated] == [1, *(item.last + 1 for item in rated[:-1])][: len(rated)]


@given(quantities, st.integers(0, 10**6), versions())
def test_more_runs_never_cost_less(quantity: int, more: int, version: PlanVersion) -> None:
    def total(runs: int) -> int:
        return sum(rated.amount for rated in rate(runs, version))

    assert total(quantity) <= total(quantity + more)


@given(quantities, versions())
def test_the_lines_of_an_invoice_add_up(quantity: int, version: PlanVersion) -> None:
    counts = Counts({Outcome.BILLABLE: quantity, Outcome.FAILED: 3})
    document = compose(Basis("acme", Month(2026, 10), version.currency, counts, version))
    assert document.total == sum(line.amount for line in document.lines)
    assert document.total == sum(expected_amounts(quantity, version))
    exact = sum((Fraction(line.exact_amount) for line in document.lines), Fraction(0))
    minor = exact * 10 ** PLACES[version.currency]
    assert abs(minor - document.total) <= Fraction(len(document.lines), 2)
    for line in document.lines:
        data = line.to_data()
        assert Decimal(str(data["exact_amount"])) == line.quantity * Fraction(str(data["unit_price"]))


@given(quantities, versions())
def test_the_next_run_costs_what_the_standing_says(quantity: int, version: PlanVersion) -> None:
    def exact(runs: int) -> Fraction:
        return sum((Fraction(rated.exact_amount) for rated in rate(runs, version)), Fraction(0))

    now = standing(quantity, version)
    assert exact(quantity + 1) - exact(quantity) == Fraction(now.next_price)
    if now.free_left:
        assert exact(quantity + now.free_left) == 0
        assert exact(quantity + now.free_left + 1) > 0
    if now.left_in_bracket is not None:
        assert now.up_to == quantity + now.left_in_bracket
        assert standing(quantity + now.left_in_bracket, version).bracket == now.bracket + 1


@given(versions())
def test_what_a_version_prints_can_be_loaded(version: PlanVersion) -> None:
    assert plans_from_data(version.to_data()) == (version,)


@given(st.integers(-(10**24), 10**24), codes)
def test_a_credit_mirrors_its_charge(scaled: int, code: str) -> None:
    exact = Decimal(scaled).scaleb(-12)
    assert round_to_minor(-exact, code) == -round_to_minor(exact, code)


@given(st.integers(1 - 10**15, 10**15 - 1), codes)
def test_an_amount_survives_being_shown_and_read(amount: int, code: str) -> None:
    shown = format_amount(amount, code)
    assert shown.endswith(f" {code}")
    assert parse_amount(shown.removesuffix(f" {code}").replace(",", ""), code) == amount
