"""What a figure has reached, and what is said of it."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.alerts.figures import first_day_needed, month_figures
from billing.alerts.thresholds import THRESHOLDS, Figure, Kind, reached, sentence
from billing.plans import shipped_catalogue
from billing.pricing.books import Books
from billing.pricing.catalogue import Catalogue
from billing.pricing.terms import Enrolment, Terms, terms_of
from metering.period import Month
from tests.billing.pricing.contracts import acme, day, grant

OCTOBER = Month(2026, 10)
TODAY = day("2026-10-15")
CATALOGUE = Catalogue(shipped_catalogue())
MONTHLY = terms_of([Enrolment(Month(2026, 1), "starter", "2021-02")])


def books(terms: Terms = MONTHLY) -> Books:
    return Books("acme", "USD", terms)


def figures(
    billable: dict[date, int], terms: Terms = MONTHLY, today: date = TODAY, budget: int | None = None
) -> dict[str, Figure]:
    found = month_figures(books(terms), CATALOGUE, billable, OCTOBER, today, budget)
    return {each.kind: each for each in found}


def said(figure: Figure) -> list[tuple[int, str]]:
    return [(each.threshold, each.basis) for each in reached(figure)]


@pytest.mark.parametrize(
    ("actual", "forecast", "expected"),
    [
        (0, None, []),
        (4_999, 4_999, []),
        (4_999, 5_000, [(50, "forecast")]),
        (5_000, 7_999, [(50, "actual")]),
        (7_999, 10_000, [(50, "actual"), (80, "forecast"), (100, "forecast")]),
        (8_000, None, [(50, "actual"), (80, "actual")]),
        (10_000, 40_000, [(50, "actual"), (80, "actual"), (100, "actual")]),
    ],
)
def test_thresholds(actual: int, forecast: int | None, expected: list[tuple[int, str]]) -> None:
    assert said(Figure("free_runs", "2026-10", 10_000, actual, forecast)) == expected


def test_a_limit_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="positive"):
        Figure("budget", "2026-10", 0, 0)


@given(
    kind=st.sampled_from(["free_runs", "budget", "commitment"]),
    limit=st.integers(1, 10**15),
    actual=st.integers(0, 10**16),
    more=st.integers(0, 10**16) | st.none(),
)
def test_nothing_is_said_before_it_is_so(kind: Kind, limit: int, actual: int, more: int | None) -> None:
    forecast = None if more is None else actual + more
    figure = Figure(kind, "2026-10", limit, actual, forecast, "USD" if kind == "budget" else None)
    found = reached(figure)
    assert len({each.threshold for each in found}) == len(found) <= len(THRESHOLDS)
    for each in found:
        assert each.value * 100 >= each.threshold * limit
        text = sentence("acme", each)
        assert text.startswith("Forecast: ") is (each.basis == "forecast")
        assert f"{each.threshold} %" in text
        if each.basis == "forecast":
            assert actual * 100 < each.threshold * limit
    # One who knows more says no less.
    again = dataclasses.replace(
        figure, actual=actual + 1, forecast=None if forecast is None else forecast + 1
    )
    assert {each.threshold for each in reached(again)} >= {each.threshold for each in found}


def test_free_runs_and_a_budget_with_what_is_expected() -> None:
    known = {TODAY - timedelta(back): 1_000 for back in range(1, 15)}
    found = figures(known, budget=5_000)
    assert found["free_runs"] == Figure("free_runs", "2026-10", 10_000, 14_000, 31_000)
    # 4,000 and 21,000 runs beyond the free ones, at 0.0025.
    assert found["budget"] == Figure("budget", "2026-10", 5_000, 1_000, 5_250, "USD")


def test_september_gives_the_pace_of_the_first_of_october_and_counts_for_nothing() -> None:
    known = {day("2026-09-30") - timedelta(back): 600 for back in range(10)}
    found = figures(known, today=day("2026-10-01"))
    assert found["free_runs"] == Figure("free_runs", "2026-10", 10_000, 0, 18_600)


def test_a_trend_is_expected_to_go_on() -> None:
    """A tenth more each week for eight weeks: more than the last week had is expected of the next ones."""
    first = first_day_needed(MONTHLY, OCTOBER)
    assert (day("2026-10-01") - first).days == 56
    known = {TODAY - timedelta(56 - n): round(1_000 * 1.1 ** (n // 7)) for n in range(56)}
    found = figures({day: runs for day, runs in known.items() if day >= first})["free_runs"]
    days = (day("2026-11-01") - TODAY).days
    assert found.forecast is not None and found.forecast - found.actual > known[TODAY - timedelta(1)] * days


def test_of_a_month_that_is_over_nothing_is_forecast() -> None:
    known = {day("2026-10-31"): 9_999}
    assert figures(known, today=day("2026-11-01"))["free_runs"].forecast is None


def test_under_contract_free_runs_are_for_what_was_not_drawn() -> None:
    contract = acme(grant("g1", 12_000))
    terms = terms_of([Enrolment(Month(2026, 1), "starter", "2021-02"), contract])
    assert first_day_needed(terms, OCTOBER) == contract.start
    known = {day("2026-03-01"): 10_000, TODAY - timedelta(1): 5_000}
    found = figures(known, terms)
    assert (found["commitment"].limit, found["commitment"].actual) == (12_000, 12_000)
    assert found["free_runs"].actual == 3_000


def test_the_balance_of_a_contract_and_its_term() -> None:
    """A grant that expired is gone; one that is still to come counts for nothing yet."""
    contract = acme(
        grant("old", 1_000, until="2026-10-01"),
        grant("g1", 10_000),
        grant("later", 5_000, since="2026-12-01"),
    )
    terms = terms_of([Enrolment(Month(2026, 1), "starter", "2021-02"), contract])
    known = {TODAY - timedelta(back): 10 for back in range(1, 8)}
    found = figures(known, terms)["commitment"]
    assert (found.period, found.limit, found.actual) == ("acme-2026", 11_000, 1_070)
    # 78 days to the end of the term, ten runs each.
    assert found.forecast == 1_070 + 780
    assert sentence("acme", reached(dataclasses.replace(found, actual=6_000))[0]) == (
        "50 % of the 11,000 committed task runs of contract acme-2026 of acme are used or expired: "
        "6,000 task runs, 5,000 are left."
    )


known_usage = st.dictionaries(
    st.integers(-45, 16).map(lambda number: TODAY + timedelta(number)), st.integers(0, 30_000), max_size=12
)


@given(known_usage, st.integers(1, 10**6), st.booleans())
def test_more_is_forecast_than_is_counted(known: dict[date, int], budget: int, under_contract: bool) -> None:
    terms = MONTHLY
    if under_contract:
        contract = acme(grant("a", 9_000, until="2026-10-10"), grant("b", 20_000, since="2026-06-01"))
        terms = terms_of([Enrolment(Month(2026, 1), "starter", "2021-02"), contract])
    for figure in figures(known, terms, budget=budget).values():
        assert figure.actual >= 0
        assert figure.forecast is None or figure.forecast >= figure.actual
