"""A year ahead: growth fades in the middle and goes on at the edges."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta

import pytest

from metering.far import FAR_DAYS, STRETCH, Far, far_forecast, rates_of
from metering.forecast import forecast
from tests.metering.series import by_day, usual

TODAY = date(2026, 10, 12)


def ahead(made: list[int], days: int = 365) -> Far | None:
    return far_forecast(by_day(made, TODAY), TODAY, TODAY + timedelta(days))


@pytest.mark.parametrize("a_week", [0.01, 0.02, 0.05, -0.02, -0.05])
def test_a_range_holds_what_comes_if_it_goes_on(a_week: float) -> None:
    """Of a steady growth or decline at least four times of five, where the forecast's own range would not."""
    held = short = asked = 0
    for seed in range(8):
        for age in (100, 150, 250, 380):
            made = usual(a_week)(random.Random(f"far {seed} {age}"), age + 365)
            found, came = ahead(made[:age]), sum(made[age:])
            near = forecast(by_day(made[:age], TODAY), TODAY, TODAY + timedelta(365))
            assert found is not None and found.low is not None and found.high is not None
            assert near is not None and near.low is not None and near.high is not None
            asked += 1
            held += sum(found.low.values()) <= came <= sum(found.high.values())
            short += near.low <= came <= near.high
    assert held >= 0.8 * asked and short < 0.5 * asked, (held, short, asked)


def test_what_is_even_stays_within_a_third() -> None:
    made = [1_000] * FAR_DAYS
    found = ahead(made)
    assert found is not None and found.low == found.high == found.days
    noisy = ahead(usual(0)(random.Random("even"), FAR_DAYS))
    assert noisy is not None and noisy.low is not None and noisy.high is not None
    low, middle, high = (sum(each.values()) for each in (noisy.low, noisy.days, noisy.high))
    assert middle * 2 / 3 < low < middle < high < middle * 4 / 3


def test_it_takes_three_stretches() -> None:
    for days in (STRETCH * 2, STRETCH * 3 - 1):
        found = ahead([10] * days)
        assert found is not None and (found.low, found.high, found.history_days) == (None, None, days)
    found = ahead([10] * STRETCH * 3)
    assert found is not None and found.low is not None
    assert far_forecast({}, TODAY, TODAY + timedelta(9)) is None
    assert ahead([10] * 100, 0) is None


def test_rates_are_of_what_lies_far_apart_and_have_an_end() -> None:
    """A month of three times the usual in the midst of a year is no growth of a year."""
    odd = [100] * STRETCH * 6 + [300] * STRETCH + [100] * STRETCH * 6
    found = rates_of(odd)
    assert found is not None
    least, greatest = found
    assert least == pytest.approx(0) and greatest == pytest.approx(0)
    explodes = rates_of([1] * STRETCH + [100] * STRETCH + [10_000] * STRETCH)
    assert explodes is not None and explodes[1] == pytest.approx(math.log(20) / 365)
    assert rates_of([0] * STRETCH * 4) is None
    idle = rates_of([0] * STRETCH * 2 + [100] * STRETCH * 2)
    assert idle is not None and all(math.isfinite(each) for each in idle)


def test_growth_is_of_later_days() -> None:
    """At the upper edge the year begins as it is now, and ends with the most."""
    found = ahead([round(1_000 * 1.02 ** (day / 7)) for day in range(200)])
    assert found is not None and found.high is not None
    days = list(found.high.values())
    assert sum(days[:28]) * 2 < sum(days[-28:])
