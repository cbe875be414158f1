"""Months priced twice: worked examples, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.backtest.findings import at_risk, by_month, by_plan, crossings, distribution, per_account
from billing.backtest.history import Draft, refuse_overlap
from billing.backtest.holding import holding
from billing.backtest.rerating import rerate
from metering.period import Month
from tests.billing.backtest.histories import Row, history
from tests.billing.pricing.data import LATER, STANDARD, STARTER, plan

SEPTEMBER, OCTOBER = Month(2026, 9), Month(2026, 10)
# Twice the free runs, and the next bracket at twice the price.
DRAFT = replace(plan((20_000, "0"), (100_000, "0.005"), (None, "0.00125")), plan="starter", version="2027-01")
ON_STARTER = Draft(DRAFT, "starter")


def test_a_month_is_priced_on_its_own_plan_and_on_the_draft() -> None:
    """Starter: 20,000 runs are 25.00, and free on the draft; 100,000 are 225.00 and 400.00."""
    rerated = rerate(
        history(
            Row("acme", SEPTEMBER, STARTER, 20_000),
            Row("acme", OCTOBER, STARTER, 100_000),
            Row("globex", OCTOBER, STANDARD, 20_000),
        ),
        [ON_STARTER],
    )
    assert list(rerated.usage_now) == [2_500, 22_500, 5_000]
    assert list(rerated.usage_then) == [0, 40_000, 5_000]
    assert list(rerated.moves) == [True, True, False]
    months = [
        (each.month, each.currency, each.sums.net_now, each.sums.net_then) for each in by_month(rerated)
    ]
    assert months == [(0, "USD", 2_500, 0), (1, "USD", 27_500, 45_000)]
    plans = [(rerated.versions[each.version_then].id, each.sums.net_then) for each in by_plan(rerated)]
    assert plans == [("starter@2027-01", 0), ("starter@2027-01", 40_000), ("standard@2021-02", 5_000)]


def test_programs_and_protection_are_kept() -> None:
    """100,000 runs: 225.00 less 10 % are 202.50; on the draft 360.00, which protection holds at 300.00."""
    row = Row("acme", OCTOBER, STARTER, 100_000, percent=Decimal(10), charge=30_000)
    rerated = rerate(history(row), [ON_STARTER])
    assert (list(rerated.net_now), list(rerated.net_then)) == ([20_250], [30_000])
    assert (list(rerated.usage_now), list(rerated.usage_then)) == ([22_500], [40_000])


def test_what_is_agreed_by_contract_stays() -> None:
    """Of 90,000 runs grants served 60,000: the others are on demand, on the contract's plan."""
    row = Row("acme", OCTOBER, STARTER, 90_000, rated=30_000, under_contract=True)
    rerated = rerate(history(row), [ON_STARTER])
    assert list(rerated.usage_now) == list(rerated.usage_then) == [5_000]
    assert not rerated.moves.any()


def test_a_draft_may_take_the_place_of_one_version_only() -> None:
    later = LATER.get("starter@2021-11")
    rows = history(Row("acme", OCTOBER, STARTER, 20_000), Row("initech", OCTOBER, later, 20_000))
    assert list(rerate(rows, [Draft(DRAFT, "starter@2021-11")]).moves) == [False, True]
    assert list(rerate(rows, [ON_STARTER]).moves) == [True, True]
    assert list(rerate(rows, [Draft(later, "starter")]).moves) == [True, False]


def test_another_currency_is_never_priced_by_the_draft() -> None:
    yen = replace(plan((None, "3"), currency="JPY"), plan="starter", version="yen")
    rerated = rerate(
        history(Row("acme", OCTOBER, STARTER, 20_000), Row("nihon", OCTOBER, yen, 1_000)), [ON_STARTER]
    )
    assert list(rerated.moves) == [True, False]
    assert list(rerated.other_currency) == [False, True]
    assert list(rerated.net_then) == [0, 3_000]
    assert [(each.currency, each.sums.net_now) for each in by_month(rerated)] == [
        ("JPY", 3_000),
        ("USD", 2_500),
    ]


def test_two_drafts_may_not_take_one_account() -> None:
    standard = replace(DRAFT, plan="standard")
    assert refuse_overlap([ON_STARTER, Draft(standard, "standard")]) is None
    assert refuse_overlap([ON_STARTER, Draft(standard, "starter")]) is not None
    assert refuse_overlap([ON_STARTER, Draft(standard, "starter@2021-02")]) is not None
    assert refuse_overlap([Draft(DRAFT, "starter@2021-11"), Draft(standard, "starter@2021-02")]) is None


def test_who_pays_more_and_what_would_hold_them_harmless() -> None:
    """acme pays 25.00 and 225.00 now, 0.00 and 400.00 then. Held every month at 225.00, which costs 175.00;
    held in all at 250.00, which costs 150.00: then both months together are the 250.00 of now."""
    rows = history(Row("acme", SEPTEMBER, STARTER, 20_000), Row("acme", OCTOBER, STARTER, 100_000))
    rerated = rerate(rows, [ON_STARTER])
    held = holding(rows.account, rerated.net_now, rerated.net_then, 1, rows.month[:1] + 1)
    assert [int(column[0]) for column in held] == [22_500, 17_500, 25_000, 15_000]


def test_the_distribution_counts_each_account_once() -> None:
    rows = [Row(f"a{n}", OCTOBER, STARTER, n * 5_000) for n in range(41)]
    rerated = rerate(history(*rows), [ON_STARTER])
    found = per_account(rerated)
    bands = distribution(found, found.moves)
    assert sum(band.accounts for band in bands) == 41
    assert sum(band.net_then - band.net_now for band in bands) == sum(found.change)
    for place in range(41):
        alone = found.moves & False
        alone[place] = True
        assert sum(band.accounts for band in distribution(found, alone)) == 1


@pytest.mark.parametrize(
    ("now", "then", "band"),
    [
        (20_002, 20_002, (0, 0)),
        (20_000, 0, (None, -50)),
        (100_000, 120_000, (10, 20)),  # exactly 20 %
        (100_000, 120_001, (20, 50)),
        (100_000, 80_000, (-20, -10)),  # exactly -20 %
        (100_000, 79_999, (-50, -20)),
        (100_000, 99_999, (-10, 0)),
        (100_000, 100_001, (0, 10)),
        (0, 1, (None, None)),
        (1, 3, (100, None)),
    ],
)
def test_a_bands_bounds(now: int, then: int, band: tuple[int | None, int | None]) -> None:
    """One run is a cent, on the account's plan and on the draft; the rule is what differs."""
    cent = replace(plan((None, "0.01")), plan="cent")
    draft = Draft(replace(cent, version="v2"), "cent")
    rerated = rerate(history(Row("acme", OCTOBER, cent, now, rated_then=then)), [draft])
    found = per_account(rerated)
    (inside,) = [each for each in distribution(found, found.moves) if each.accounts]
    assert (inside.above, inside.up_to) == band
    assert inside.from_nothing == (now == 0)
    risks = [each.above for each in at_risk(found, found.moves) if each.accounts]
    rise = then - now
    assert risks == [above for above in (0, 10, 25, 50, 100) if rise > 0 and rise * 100 > above * now] or (
        now == 0 and risks == [0]
    )


def test_brackets_that_are_crossed() -> None:
    """100,000 runs end in the second bracket now, and then; 20,000 in the second now, in the first then."""
    rows = history(Row("acme", SEPTEMBER, STARTER, 20_000), Row("acme", OCTOBER, STARTER, 100_000))
    found = crossings(rerate(rows, [ON_STARTER]))
    assert [(each.bracket, each.bracket_then, each.months) for each in found] == [(2, 1, 1), (2, 2, 1)]


def test_nothing_at_all() -> None:
    rerated = rerate(history(), [ON_STARTER])
    assert by_month(rerated) == by_plan(rerated) == crossings(rerated) == []
    assert all(band.accounts == 0 for band in distribution(per_account(rerated), per_account(rerated).moves))
