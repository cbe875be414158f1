"""Graduated rating: the worked examples, the edges, and where a quantity stands."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing.pricing.catalogue import PlanVersion
from billing.pricing.rating import Standing, first_price, free_runs, over_soft_limit, rate, standing
from tests.billing.pricing.data import DEVELOPER, LATER, STANDARD, STARTER, plan


def total(quantity: int, version: PlanVersion) -> int:
    return sum(rated.amount for rated in rate(quantity, version))


@pytest.mark.parametrize(
    ("quantity", "cents"),
    [
        (0, 0),
        (1, 0),
        (9_999, 0),
        (10_000, 0),
        (10_001, 0),  # 0.25 cent
        (10_002, 1),  # 0.5 cent
        (20_000, 2_500),
        (100_000, 22_500),
        (100_001, 22_500),  # 0.125 cent more
        (123_456, 25_432),  # 225.00 + 29.32
        (1_000_000, 135_000),
        (10_000_000, 697_500),
        (100_000_000, 3_510_000),
    ],
)
def test_starter(quantity: int, cents: int) -> None:
    assert total(quantity, STARTER) == cents


@pytest.mark.parametrize(
    ("quantity", "cents"),
    [(10_000, 0), (10_001, 1), (20_000, 5_000), (100_000, 45_000), (1_000_000, 270_000)],
)
def test_standard(quantity: int, cents: int) -> None:
    assert total(quantity, STANDARD) == cents


@pytest.mark.parametrize("quantity", [0, 1, 10_000, 10_001, 10**12])
def test_developer_is_free_without_end(quantity: int) -> None:
    assert total(quantity, DEVELOPER) == 0
    assert over_soft_limit(quantity, DEVELOPER) == max(0, quantity - 10_000)


def test_the_later_starter_has_twice_the_free_runs() -> None:
    later = LATER.get("starter@2021-11")
    assert [total(n, later) for n in (20_000, 20_002, 100_000)] == [0, 1, 20_000]


def test_each_bracket_keeps_its_exact_amount_beside_the_rounded_one() -> None:
    free, second, third = rate(123_456, STARTER)
    assert (free.first, free.last, free.quantity, free.amount) == (1, 10_000, 10_000, 0)
    assert (second.first, second.last, second.quantity) == (10_001, 100_000, 90_000)
    assert (third.first, third.last, third.quantity) == (100_001, 123_456, 23_456)
    assert (third.unit_price, third.exact_amount, third.amount) == (
        Decimal("0.00125"),
        Decimal("29.32000"),
        2_932,
    )


def test_bounds_are_inclusive_above() -> None:
    assert len(rate(10_000, STARTER)) == 1
    assert len(rate(10_001, STARTER)) == 2
    assert rate(0, STARTER) == ()


@pytest.mark.parametrize(
    ("currency", "amounts"),
    [("USD", [0, 1, 1]), ("JPY", [0, 0, 0]), ("KWD", [3, 5, 8]), ("ISK", [0, 0, 0])],
)
def test_each_currency_rounds_to_its_own_minor_unit(currency: str, amounts: list[int]) -> None:
    version = plan((None, "0.0025"), currency=currency)
    assert [total(n, version) for n in (1, 2, 3)] == amounts


@pytest.mark.parametrize("bad", [1.0, 10_000.0, True, "1", Decimal(1), None])
def test_a_quantity_is_an_int(bad: object) -> None:
    for function in (rate, standing):
        with pytest.raises(TypeError):
            function(bad, STARTER)  # type: ignore[arg-type]


def test_a_quantity_is_never_negative() -> None:
    for function in (rate, standing):
        with pytest.raises(ValueError, match="never negative: -1"):
            function(-1, STARTER)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (0, Standing(1, 0, 10_000, Decimal(0), 10_000, 10_000, 0)),
        (9_999, Standing(1, 0, 10_000, Decimal(0), 1, 1, 0)),
        (10_000, Standing(2, 10_000, 100_000, Decimal("0.0025"), 90_000, 0, 0)),
        (10_001, Standing(2, 10_000, 100_000, Decimal("0.0025"), 89_999, 0, 0)),
        (10**9, Standing(5, 10_000_000, None, Decimal("0.0003125"), None, 0, 0)),
    ],
)
def test_where_a_quantity_stands(quantity: int, expected: Standing) -> None:
    assert standing(quantity, STARTER) == expected


def test_a_free_plan_has_free_runs_without_end() -> None:
    assert standing(12_345, DEVELOPER) == Standing(1, 0, None, Decimal(0), None, None, 2_345)


def test_free_runs_are_those_before_the_first_that_costs() -> None:
    assert free_runs(STARTER) == 10_000
    assert free_runs(DEVELOPER) is None
    assert free_runs(plan((5, "0"), (8, "0"), (None, "1"))) == 8
    assert free_runs(plan((5, "1"), (None, "0"))) == 0


def test_the_first_price_is_that_of_the_first_run_that_costs_anything() -> None:
    assert first_price(STARTER) == Decimal("0.0025")
    assert first_price(plan((10, "0"), (20, "0.01"), (None, "0.5"))) == Decimal("0.01")
    assert first_price(DEVELOPER) == Decimal(0)
