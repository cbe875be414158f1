"""Drawing: which grant serves which day, what is left on demand, and the worked example of the rules."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from billing.pricing.drawdown import draw
from billing.pricing.rating import rate
from billing.pricing.run_ledger import balance, to_record
from metering.period import Month
from tests.billing.pricing.contracts import ACME, day, grant
from tests.billing.pricing.data import STANDARD


def drawn(grants: list[Any], **usage: int) -> list[tuple[str, dict[str, int], int]]:
    """Days as `d0103=50` for 3 January 2026."""
    by_day = {date(2026, int(name[1:3]), int(name[3:])): runs for name, runs in usage.items()}
    return [(f"{d.day:%m%d}", dict(d.by_grant), d.on_demand) for d in draw(grants, by_day).days]


def test_the_worked_example() -> None:
    """1,000,000 runs for the year; 90,000 a month to November, 30,000 in December."""
    usage = {date(2026, month, 15): 90_000 for month in range(1, 12)} | {
        date(2026, 12, number): 1_000 for number in range(1, 31)
    }
    drawdown = draw(ACME.grants, usage)
    assert sum(drawdown.drawn(Month(2026, month)) for month in range(1, 12)) == 990_000
    assert (drawdown.drawn(Month(2026, 12)), drawdown.on_demand(Month(2026, 12))) == (10_000, 20_000)
    lines = [(rated.quantity, rated.amount) for rated in rate(20_000, STANDARD)]
    assert lines == [(10_000, 0), (10_000, 5_000)]
    ledger = to_record((), ACME.grants, drawdown, as_of=day("2027-01-01"), recorded_at=0)
    assert balance(ledger, day("2026-11-30")) == 10_000
    assert balance(ledger, day("2026-12-10")) == 0
    assert {entry.kind.value for entry in ledger} == {"grant", "usage"}


def test_a_grant_serves_its_days_alone() -> None:
    g = grant("g", 100, "2026-03-10", "2026-03-12")
    assert drawn([g], d0309=5, d0310=5, d0311=5, d0312=5) == [
        ("0309", {}, 5),
        ("0310", {"g": 5}, 0),
        ("0311", {"g": 5}, 0),
        ("0312", {}, 5),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (grant("z", 10, "2026-02-01", "2026-06-01"), grant("a", 10, "2026-01-01", "2026-07-01")),
        (grant("z", 10, "2026-01-01", "2026-06-01"), grant("a", 10, "2026-02-01", "2026-06-01")),
        (grant("a", 10), grant("b", 10)),
        (grant("A", 10), grant("a", 10)),
        (grant("g10", 10), grant("g9", 10)),
    ],
    ids=["by expiry", "then by granted_on", "then by id", "ids as text, capitals first", "ids as text"],
)
def test_the_order_of_grants(first: Any, second: Any) -> None:
    expected = [("0310", {first.id: 10, second.id: 5}, 0)]
    assert drawn([first, second], d0310=15) == expected
    assert drawn([second, first], d0310=15) == expected


def test_days_are_drawn_in_order_of_date_and_not_as_given() -> None:
    assert drawn([grant("g", 10)], d0202=6, d0101=8) == [("0101", {"g": 8}, 0), ("0202", {"g": 2}, 4)]


def test_a_top_up_after_the_balance_ran_out_serves_from_its_day_on() -> None:
    grants = [grant("g", 10), grant("top-up", 10, "2026-02-15")]
    assert drawn(grants, d0201=12, d0214=3, d0215=4, d0216=8) == [
        ("0201", {"g": 10}, 2),
        ("0214", {}, 3),
        ("0215", {"top-up": 4}, 0),
        ("0216", {"top-up": 6}, 2),
    ]


def test_a_leap_day_is_a_day() -> None:
    g = grant("g", 10, "2024-02-29", "2024-03-01")
    drawdown = draw([g], {day("2024-02-28"): 1, day("2024-02-29"): 2, day("2024-03-01"): 4})
    assert (drawdown.drawn(Month(2024, 2)), drawdown.on_demand(Month(2024, 2))) == (2, 1)
    assert drawdown.on_demand(Month(2024, 3)) == 4
    assert drawdown.left == {"g": 8}


def test_without_grants_or_usage() -> None:
    assert drawn([], d0101=5) == [("0101", {}, 5)]
    nothing = draw([grant("g", 10)], {day("2026-01-01"): 0})
    assert (nothing.days, nothing.left) == ((), {"g": 10})


@pytest.mark.parametrize(
    ("usage", "error"),
    [
        ({day("2026-01-01"): -1}, ValueError),
        ({day("2026-01-01"): 1.0}, TypeError),
        ({day("2026-01-01"): True}, TypeError),
        ({datetime(2026, 1, 1): 1}, TypeError),  # noqa: DTZ001
        ({"2026-01-01": 1}, TypeError),
    ],
)
def test_usage_that_is_none(usage: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        draw([], usage)
