"""Instalments: on which dates, how much, and to the cent."""

from __future__ import annotations

import doctest

import pytest

import billing.pricing.instalments
from billing.pricing.contract import Instalments
from billing.pricing.instalments import instalment_dates, instalments
from tests.billing.pricing.contracts import acme, day, grant

UPFRONT, QUARTERLY, MONTHLY = Instalments


def schedule(kind: Instalments, *grants: tuple[str, str, int], end: str = "2027-01-01") -> list[str]:
    """Grants as (id, granted_on, price in cents)."""
    contract = acme(
        *(grant(id, 1_000, since, end, price) for id, since, price in grants), instalments=kind, end=day(end)
    )
    return [f"{part.due_on:%m-%d} {part.grant} {part.amount}" for part in instalments(contract)]


@pytest.mark.parametrize(
    ("kind", "end", "dates"),
    [
        (UPFRONT, "2027-01-01", []),
        (QUARTERLY, "2027-01-01", ["2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"]),
        (QUARTERLY, "2026-06-01", ["2026-01-01", "2026-04-01"]),
        (QUARTERLY, "2026-02-01", ["2026-01-01"]),
        (MONTHLY, "2026-04-01", ["2026-01-01", "2026-02-01", "2026-03-01"]),
        (MONTHLY, "2026-02-01", ["2026-01-01"]),
    ],
)
def test_the_dates(kind: Instalments, end: str, dates: list[str]) -> None:
    assert [str(date) for date in instalment_dates(acme(instalments=kind, end=day(end)))] == dates


def test_a_price_over_the_quarters_with_the_odd_cents_first() -> None:
    expected = ["01-01 g 22501", "04-01 g 22501", "07-01 g 22500", "10-01 g 22500"]
    assert schedule(QUARTERLY, ("g", "2026-01-01", 90_002)) == expected


def test_a_grant_added_later_is_spread_over_the_dates_that_remain() -> None:
    assert schedule(QUARTERLY, ("g", "2026-01-01", 400), ("h", "2026-04-02", 301)) == [
        "01-01 g 100",
        "04-01 g 100",
        "07-01 g 100",
        "07-01 h 151",
        "10-01 g 100",
        "10-01 h 150",
    ]


def test_a_grant_on_an_instalment_date_begins_with_it() -> None:
    assert schedule(QUARTERLY, ("h", "2026-07-01", 300)) == ["07-01 h 150", "10-01 h 150"]


def test_a_grant_after_the_last_date_is_due_on_its_own() -> None:
    assert schedule(QUARTERLY, ("h", "2026-10-02", 301)) == ["10-02 h 301"]
    assert schedule(MONTHLY, ("h", "2026-12-31", 301)) == ["12-31 h 301"]


def test_upfront_is_due_with_each_grant() -> None:
    assert schedule(UPFRONT, ("g", "2026-01-01", 400), ("h", "2026-03-15", 301)) == [
        "01-01 g 400",
        "03-15 h 301",
    ]


def test_fewer_cents_than_dates() -> None:
    expected = ["01-01 g 1", "04-01 g 1", "07-01 g 0", "10-01 g 0"]
    assert schedule(QUARTERLY, ("g", "2026-01-01", 2)) == expected


def test_coins_that_exist() -> None:
    contract = acme(grant("g", 1, price=1_000), currency="ISK", instalments=MONTHLY, end=day("2027-01-01"))
    assert [part.amount for part in instalments(contract)] == [100] * 10 + [0] * 2


def test_the_examples_in_the_module() -> None:
    assert doctest.testmod(billing.pricing.instalments).failed == 0
