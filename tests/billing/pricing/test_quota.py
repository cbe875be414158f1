"""What is left to run without paying on demand: the last free run, the last committed one, and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from billing.plans import shipped_catalogue
from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.quota import Quota, quota, stretches
from tests.billing.pricing.data import STARTER

TODAY = date(2026, 10, 15)
DEVELOPER = next(each for each in shipped_catalogue() if each.plan == "developer")


@pytest.mark.parametrize(("used", "left"), [(0, 10_000), (9_999, 1), (10_000, 0), (10_001, 0)])
def test_free_runs_of_a_monthly_account(used: int, left: int) -> None:
    found = quota(STARTER, None, {date(2026, 10, 1): used, date(2026, 9, 30): 50_000}, TODAY)
    assert found == Quota(used, left, 0)
    assert found.left is (left > 0)


def test_a_plan_that_is_free_without_end_has_its_soft_limit() -> None:
    assert quota(DEVELOPER, None, {TODAY: 10_001}, TODAY) == Quota(10_001, 0, 0)


def _contract(*grants: Grant) -> Contract:
    term = (date(2026, 1, 1), date(2027, 1, 1))
    return Contract("c", "acme", *term, STARTER.id, "USD", Instalments.UPFRONT, grants)


def _grant(id: str, runs: int, since: date, until: date) -> Grant:
    return Grant(id, runs, 0, since, until)


def test_committed_runs_that_can_be_used_today() -> None:
    """Not what has expired, and not what is still to be granted; free runs are for what was not drawn."""
    contract = _contract(
        _grant("over", 100, date(2026, 1, 1), date(2026, 10, 1)),
        _grant("now", 500, date(2026, 1, 1), date(2026, 12, 1)),
        _grant("later", 900, date(2026, 11, 1), date(2027, 1, 1)),
    )
    usage = {date(2026, 3, 1): 130, date(2026, 10, 2): 400}
    assert quota(STARTER, contract, usage, TODAY) == Quota(400, 10_000, 70)
    usage[TODAY] = 70 + 9_999
    assert quota(STARTER, contract, usage, TODAY) == Quota(10_469, 1, 0)
    usage[TODAY] += 1
    assert not quota(STARTER, contract, usage, TODAY).left


def test_days_that_need_not_be_told_apart() -> None:
    """Months are, and what begins or ends within one."""
    contract = _contract(
        _grant("a", 100, date(2026, 1, 1), date(2026, 3, 15)), _grant("b", 1, TODAY, date(2027, 1, 1))
    )
    firsts = [first for first, _ in stretches(contract, TODAY)]
    whole = [date(2026, month, 1) for month in range(1, 11)]
    assert firsts == sorted([*whole, date(2026, 3, 15), TODAY])
    assert stretches(contract, TODAY)[-1] == (TODAY, date(2026, 11, 1))
    assert stretches(None, TODAY) == [(date(2026, 10, 1), date(2026, 11, 1))]


def test_a_grant_is_good_from_its_first_day_to_the_one_before_it_expires() -> None:
    today_on = _grant("on", 7, TODAY, date(2026, 12, 1))
    today_over = _grant("over", 100, date(2026, 1, 1), TODAY)
    assert quota(STARTER, _contract(today_on, today_over), {}, TODAY) == Quota(0, 10_000, 7)


def test_a_plan_that_is_free_without_end_and_limit_has_no_end() -> None:
    free = replace(DEVELOPER, soft_limit=None)
    assert quota(free, None, {TODAY: 10_001}, TODAY) == Quota(10_001, None, 0)
