"""The free runs, or the price, that keep revenue: exact to the run and to the last place."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.backtest.history import Draft
from billing.backtest.rerating import rerate
from billing.backtest.solving import solve_free_runs, solve_price
from billing.pricing.errors import CatalogueError
from metering.period import Month
from tests.billing.backtest.histories import Row, history
from tests.billing.pricing.data import STARTER, plan

OCTOBER = Month(2026, 10)
DRAFT = replace(plan((20_000, "0"), (None, "0.005")), plan="starter", version="2027-01")


def test_the_free_runs_that_keep_revenue() -> None:
    """100,000 runs are 225.00 now. At half a cent each 45,000 paid runs are that; and so are 44,999, whose
    half cent is rounded up. So 55,001 are free, and one more loses a cent."""
    rerated = rerate(history(Row("acme", OCTOBER, STARTER, 100_000)), [Draft(DRAFT, "starter")])
    solved = solve_free_runs(rerated, 0)
    assert (solved.target, solved.value, solved.brings) == (22_500, 55_001, 22_500)
    assert (solved.next_value, solved.next_brings) == (55_002, 22_499)
    assert solved.version is not None and solved.version.brackets[0].up_to == solved.value


def test_a_run_more_brings_less() -> None:
    """At a cent a run every run counts."""
    cent = replace(DRAFT, brackets=plan((20_000, "0"), (None, "0.01")).brackets)
    rerated = rerate(history(Row("acme", OCTOBER, STARTER, 100_000)), [Draft(cent, "starter")])
    solved = solve_free_runs(rerated, 0)
    assert (solved.value, solved.brings, solved.next_value, solved.next_brings) == (
        77_500,
        22_500,
        77_501,
        22_499,
    )


def test_the_price_that_keeps_revenue() -> None:
    """80,000 paid runs have to bring 225.00: 0.0028125 each, to the cent 0.002813 at six places; and
    0.002812 brings 224.96."""
    rerated = rerate(history(Row("acme", OCTOBER, STARTER, 100_000)), [Draft(DRAFT, "starter")])
    solved = solve_price(rerated, 0, 2)
    assert (solved.value, solved.brings) == (Decimal("0.002813"), 22_504)
    assert (solved.next_value, solved.next_brings) == (Decimal("0.002812"), 22_496)
    exact = solve_price(rerated, 0, 2, places=7)
    # Half a cent is rounded up: a price a little lower still brings 225.00.
    assert (exact.value, exact.brings) == (Decimal("0.0028125"), 22_500)


def test_what_cannot_be_reached_is_said() -> None:
    rows = history(Row("acme", OCTOBER, STARTER, 100_000, charge=10_000))
    cheap = replace(DRAFT, brackets=plan((20_000, "0"), (None, "0.00001")).brackets)
    assert "with none at all" in solve_free_runs(rerate(rows, [Draft(cheap, "starter")]), 0).message
    # A protection caps what the only account pays, at just what it pays now.
    assert solve_price(rerate(rows, [Draft(DRAFT, "starter")]), 0, 2).value == Decimal("0.00125")
    few = history(Row("acme", OCTOBER, STARTER, 15_000))
    assert "no price" in solve_price(rerate(few, [Draft(DRAFT, "starter")]), 0, 2).message
    nothing = history(Row("acme", OCTOBER, STARTER, 5_000))
    assert "any number" in solve_free_runs(rerate(nothing, [Draft(DRAFT, "starter")]), 0).message
    assert solve_price(rerate(nothing, [Draft(DRAFT, "starter")]), 0, 2).value == 0


def test_a_bracket_that_is_not_there() -> None:
    rerated = rerate(history(Row("acme", OCTOBER, STARTER, 100_000)), [Draft(DRAFT, "starter")])
    with pytest.raises(CatalogueError, match="has no bracket 3; it has 2"):
        solve_price(rerated, 0, 3)
