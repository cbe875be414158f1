"""Offers against the same months without: worked examples, and the ordinary rating month by month."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.advice.commitment import (
    Agreed,
    Offer,
    break_even_percent,
    break_even_runs,
    compare,
    scaled,
    scaled_to,
)
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.rating import rate
from billing.pricing.terms import Protection, Terms
from metering.period import Month
from tests.billing.pricing.data import STANDARD, plan
from tests.examples import few

MONTHS = tuple(Month(2026, number) for number in range(1, 13))
STANDARD_TERMS = Agreed("acme", "USD", STANDARD, Terms())


def on_the_first(*runs: int) -> dict[date, int]:
    return {date(month.year, month.number, 1): n for month, n in zip(MONTHS, runs, strict=False)}


def test_the_worked_example_of_the_rules() -> None:
    """A million runs for 450.00: eleven months of 90,000 and one of 30,000. Without: 11 times 400.00, and
    100.00. With: 20,000 are on demand in December, which are 50.00. So it is worth 4,450.00."""
    usage = on_the_first(*[90_000] * 11, 30_000)
    found = compare(STANDARD_TERMS, MONTHS, usage, Offer(1_000_000, 45_000))
    assert (found.without, found.rest, found.unused) == (450_000, 5_000, 0)
    assert (found.break_even_price, found.saving) == (445_000, 400_000)
    assert found.runs_out_on == date(2026, 12, 1)


def test_what_is_not_used_expires() -> None:
    found = compare(STANDARD_TERMS, MONTHS, on_the_first(90_000), Offer(1_000_000))
    assert (found.unused, found.runs_out_on, found.saving) == (910_000, None, None)
    assert found.break_even_price == 40_000


def test_program_and_protection_are_kept() -> None:
    """90,000 runs are 400.00; less a quarter 300.00, held at 250.00 in the first month."""
    program = Program(ProgramName.STARTUPS, Decimal(25), date(2026, 1, 1), date(2027, 1, 1))
    held = Protection(MONTHS[0], PriceProtection(25_000, date(2026, 2, 1)))
    agreed = Agreed("acme", "USD", STANDARD, Terms(programs=(program,), protections=(held,)))
    found = compare(agreed, MONTHS, on_the_first(90_000, 90_000), Offer(1_000_000, 0))
    assert found.without == 55_000


def test_the_usage_from_which_an_offer_pays() -> None:
    """At a cent a run, 100,000 runs for 500.00 pay from half of 100,000 on."""
    cent = Agreed("acme", "USD", plan((None, "0.01")), Terms())
    usage = on_the_first(50_000, 50_000)
    assert break_even_percent(cent, MONTHS, usage, Offer(100_000, 50_000)) == 50
    assert break_even_percent(cent, MONTHS, usage, Offer(100_000, 50_500)) == 51
    assert break_even_percent(cent, MONTHS, usage, Offer(100_000, 100_001)) is None
    assert break_even_percent(cent, MONTHS, usage, Offer(100_000)) is None
    for price in (50_000, 50_437, 1):
        offer = Offer(100_000, price)
        runs = break_even_runs(cent, MONTHS, usage, offer)
        assert runs is not None
        savings = [compare(cent, MONTHS, scaled_to(usage, each), offer).saving for each in (runs - 1, runs)]
        assert savings == [-1, 0]  # a run is a cent
    assert break_even_runs(cent, MONTHS, usage, Offer(100_000, 0)) == 0
    assert break_even_runs(cent, MONTHS, usage, Offer(100_000, 100_001)) is None


def test_an_offer_that_pays_at_one_usage_alone_is_found() -> None:
    """At its greatest saving, a little after it runs out: beyond that, usage is dear again. Every percent was
    looked at."""
    usage = {date(2026, 1, 1) + timedelta(n): 3_400 for n in range(365)}
    every = sum(usage.values())
    for percent in (52, 91, 102, 123):
        size = every * percent // 100
        worth = {
            each: compare(STANDARD_TERMS, MONTHS, scaled(usage, each), Offer(size)).break_even_price
            for each in range(1, 301)
        }
        price = max(worth.values())
        least = min(each for each, amount in worth.items() if amount >= price)
        assert break_even_percent(STANDARD_TERMS, MONTHS, usage, Offer(size, price)) == least
        assert break_even_percent(STANDARD_TERMS, MONTHS, usage, Offer(size, price + 1)) is None


days = st.dictionaries(
    st.integers(0, 364).map(lambda n: date(2026, 1, 1) + timedelta(n)), st.integers(0, 300_000), max_size=25
)


@few(60)
@given(days, st.integers(1, 3_000_000), st.integers(0, 10**6))
def test_every_month_rated_by_itself(usage: dict[date, int], runs: int, price: int) -> None:
    found = compare(STANDARD_TERMS, MONTHS, usage, Offer(runs, price))
    left, on_demand, every = runs, dict.fromkeys(MONTHS, 0), dict.fromkeys(MONTHS, 0)
    for day in sorted(usage):
        month = Month(day.year, day.month)
        drawn = min(left, usage[day])
        left -= drawn
        on_demand[month] += usage[day] - drawn
        every[month] += usage[day]
    without, rest = (
        sum(line.amount for quantity in each.values() for line in rate(quantity, STANDARD))
        for each in (every, on_demand)
    )
    assert (found.without, found.rest, found.unused) == (without, rest, left)
    assert found.saving == without - rest - price


@given(days, st.integers(0, 300))
def test_shares_of_usage_add_up(usage: dict[date, int], percent: int) -> None:
    assert sum(scaled(usage, percent).values()) == sum(usage.values()) * percent // 100
