"""The report on a contract against figures computed by hand."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Contract, Service
from billing.pricing.drawdown import draw
from billing.pricing.errors import CurrencyMismatch
from billing.pricing.run_ledger import balance, to_record
from billing.reporting.contract_pace import Pace
from billing.reporting.contract_report import ContractReport, contract_report
from tests.billing.pricing.contracts import ACME, acme, day, grant
from tests.billing.pricing.data import STANDARD, STARTER, plan


def spread(first: str, last: str, runs: int) -> dict[date, int]:
    """`runs` on each day from `first` to `last`, both included."""
    days = (day(last) - day(first)).days + 1
    return {day(first) + timedelta(days=number): runs for number in range(days)}


def month_of(month: int, runs: int, year: int = 2026) -> dict[date, int]:
    """`runs` of a month: the same on each day, the rest on the last."""
    days = calendar.monthrange(year, month)[1]
    found = {date(year, month, number): runs // days for number in range(1, days + 1)}
    found[date(year, month, days)] += runs % days
    return found


def report(
    contract: Contract,
    usage: Mapping[date, int],
    as_of: str,
    version: PlanVersion = STANDARD,
    invoiced: Mapping[str, int] | None = None,
    delivered: Mapping[int, date] | None = None,
) -> ContractReport:
    found = contract_report(
        contract,
        dict.fromkeys(contract.months, version),
        usage,
        invoiced=invoiced or {},
        delivered=delivered or {},
        as_of=day(as_of),
    )
    assert found.committed - found.used - found.expired == found.remaining
    known = {each: runs for each, runs in usage.items() if each <= day(as_of)}
    ledger = to_record((), contract.grants, draw(contract.grants, known), as_of=day(as_of), recorded_at=0)
    assert found.remaining == balance(ledger, day(as_of))
    return found


def figures(found: ContractReport) -> tuple[int, int, int, int]:
    return found.committed, found.used, found.expired, found.remaining


def runs_out(found: ContractReport) -> list[str | None]:
    """The early edge, the day, the late edge."""
    early, late = found.runs_out_range or (None, None)
    return [each and f"{each:%m-%d}" for each in (early, found.runs_out_on, late)]


WORKED: dict[date, int] = {}
for number in range(1, 13):
    WORKED |= month_of(number, 90_000 if number < 12 else 30_000)


def test_the_worked_example() -> None:
    """990,000 by November; in December 10,000 are drawn and 20,000 on demand, half of them free."""
    found = report(ACME, WORKED, "2026-12-31")
    assert figures(found) == (1_000_000, 1_000_000, 0, 0)
    assert [(row.drawn, row.on_demand, row.balance) for row in found.months[:11]] == [
        (90_000, 0, 910_000 - 90_000 * number) for number in range(11)
    ]
    december = found.months[11]
    assert (str(december.month), december.drawn, december.on_demand) == ("2026-12", 10_000, 20_000)
    assert (december.on_demand_amount, december.balance, found.on_demand_amount) == (5_000, 0, 5_000)
    # 967 a day: 10 days are 9,670, so the 11th is the first that is not covered.
    assert runs_out(found) == ["12-11"] * 3
    data = found.to_data()
    assert data["effective_unit_price"] == "0.0009"
    # 11 months of 400.00 and one of 100.00, over 1,020,000 runs.
    assert data["list_unit_price"] == "0.004411764706"
    assert found.top_up is None


def test_in_the_middle_of_the_worked_example() -> None:
    """3,000 a day in June; 460,000 left are 153 days and 1,000 runs: 1 July to 30 November, and a bit."""
    found = report(ACME, WORKED, "2026-06-30", invoiced={"grant/g1": 45_000})
    assert figures(found) == (1_000_000, 540_000, 0, 460_000)
    data = found.to_data()
    assert (data["runs_per_day"], data["expected_unused"]) == ("3000", 0)
    assert runs_out(found) == ["12-01"] * 3
    # December: 93,000, of which 1,000 are left; 92,000 at 0.0009, or 82,000 × 0.0050.
    assert data["top_up"] == {"runs": 92_000, "price": 8_280, "on_demand_amount": 41_000, "saving": 32_720}
    assert [(each["due_on"], each["status"]) for each in data["instalments"]] == [  # type: ignore[attr-defined]
        ("2026-01-01", "invoiced"),
        ("2026-04-01", "invoiced"),
        ("2026-07-01", "upcoming"),
        ("2026-10-01", "upcoming"),
    ]
    assert [str(row.month) for row in found.months] == [f"2026-0{number}" for number in range(1, 7)]


def test_usage_after_the_day_counts_for_nothing() -> None:
    until = {each: runs for each, runs in WORKED.items() if each <= day("2026-05-17")}
    assert report(ACME, WORKED, "2026-05-17") == report(ACME, until, "2026-05-17")


TWO = acme(
    grant("a", 100, until="2026-04-01", price=1_000),
    grant("b", 200, until="2027-01-01", price=4_000),
)


def test_two_grants_of_different_expiry() -> None:
    """One a day: of a's 100 runs 90 are drawn, 10 will expire; b's 200 are 1 April to 17 October."""
    found = report(TWO, spread("2026-01-01", "2026-04-01", 1), "2026-03-31")
    assert figures(found) == (300, 90, 0, 210)
    assert (found.expected_unused, runs_out(found)) == (10, ["10-18"] * 3)
    assert found.to_data()["effective_unit_price"] == "0.166666666667"
    found = report(TWO, spread("2026-01-01", "2026-04-01", 1), "2026-04-01")
    assert figures(found) == (300, 91, 10, 199)
    assert (found.expected_unused, runs_out(found)) == (0, ["10-18"] * 3)
    april = found.months[3]
    assert (april.drawn, april.expired, april.balance) == (1, 10, 199)


def test_a_balance_that_expires_runs_out_with_the_first_run_after_it() -> None:
    """One a day, with s = √30 = 5.477: at the lower edge, n − 7.02·√n, the first run comes on day 51."""
    contract = acme(grant("a", 100, until="2026-02-01"))
    usage = {day("2026-01-20"): 30, day("2026-02-03"): 5}
    assert runs_out(report(contract, usage, "2026-01-31")) == ["02-01", "02-01", "03-23"]
    assert runs_out(report(contract, usage, "2026-02-10")) == ["02-03"] * 3


TOPPED = acme(
    grant("g1", 100, until="2026-03-01", price=900),
    end=day("2026-03-01"),
)
DEAR = plan((100, "0"), (None, "1.00"))


def test_a_top_up_after_the_balance_ran_out() -> None:
    """Ten a day: g1 serves 1 to 10 January, none 11 to 15, g2 16 to 25."""
    usage = spread("2026-01-01", "2026-01-20", 10)
    before = report(TOPPED, usage, "2026-01-15", DEAR)
    assert figures(before) == (100, 100, 0, 0)
    assert runs_out(before) == ["01-11"] * 3
    topped = TOPPED.with_grant(grant("g2", 100, "2026-01-16", "2026-03-01", price=1_100))
    coming = report(topped, usage, "2026-01-10", DEAR)
    assert (coming.committed, coming.remaining, runs_out(coming)) == (100, 0, ["01-11"] * 3)
    found = report(topped, usage, "2026-01-20", DEAR)
    assert figures(found) == (200, 150, 0, 50)
    (january,) = found.months
    assert (january.granted, january.drawn, january.on_demand, january.on_demand_amount) == (200, 150, 50, 0)
    assert runs_out(found) == ["01-26"] * 3
    # 26 to 31 January: 60 beyond the 50 so far, 10 of them not free; February: 280, 180 not free.
    # Or 340 at 20.00 / 200.
    assert found.to_data()["top_up"] == {
        "runs": 340,
        "price": 3_400,
        "on_demand_amount": 19_000,
        "saving": 15_600,
    }


def test_a_leap_february() -> None:
    contract = acme(
        grant("a", 60, "2024-01-01", "2024-03-01"), start=day("2024-01-01"), end=day("2024-04-01")
    )
    usage = spread("2024-01-01", "2024-03-05", 1)
    found = report(contract, usage, "2024-02-29")
    assert figures(found) == (60, 60, 0, 0)
    assert [(str(row.month), row.drawn, row.on_demand) for row in found.months] == [
        ("2024-01", 31, 0),
        ("2024-02", 29, 0),
    ]
    # The last run was covered on 29 February; the next is not.
    assert runs_out(found) == ["03-01"] * 3
    assert len(found.pace.counts) == 30
    march = report(contract, usage, "2024-03-05").months[2]
    assert (march.drawn, march.expired, march.on_demand) == (0, 0, 5)


def test_a_contract_that_has_ended() -> None:
    """90,000 a month but for December's 30,000, of 1,100,000 runs: 80,000 expire with the term."""
    contract = acme(grant("g1", 1_100_000, price=99_000))
    last_day = report(contract, WORKED, "2026-12-31")
    assert figures(last_day) == (1_100_000, 1_020_000, 0, 80_000)
    assert (last_day.expected_unused, last_day.runs_out_on, last_day.top_up) == (80_000, None, None)
    assert (last_day.months[-1].expired, last_day.months[-1].balance) == (0, 80_000)
    ended = report(contract, WORKED, "2027-01-01")
    assert figures(ended) == (1_100_000, 1_020_000, 80_000, 0)
    assert (ended.expected_unused, ended.runs_out_on, ended.runs_out_range) == (0, None, None)
    assert len(ended.months) == 12
    assert (ended.months[-1].expired, ended.months[-1].balance) == (80_000, 0)
    assert sum(row.expired for row in ended.months) == 80_000
    later = report(contract, WORKED, "2028-05-17", invoiced={"grant/g1": 99_000})
    same = ("as_of", "instalments")
    assert {key: value for key, value in later.to_data().items() if key not in same} == {
        key: value for key, value in ended.to_data().items() if key not in same
    }


def test_before_the_term_there_is_nothing_yet() -> None:
    found = report(ACME, {}, "2025-12-01")
    assert figures(found) == (0, 0, 0, 0)
    assert (found.months, found.runs_out_on, found.top_up) == ((), None, None)
    data = found.to_data()
    assert (data["runs_per_day"], data["effective_unit_price"], data["list_unit_price"]) == ("0", None, None)
    assert data["expected_unused"] == 1_000_000


def test_the_pace_of_a_young_term() -> None:
    found = report(ACME, {day("2026-01-01"): 100, day("2026-01-03"): 100}, "2026-01-03")
    assert found.to_data()["runs_per_day"] == "66.67"


def test_the_pace_counts_runs_on_demand_too_and_only_thirty_days() -> None:
    usage = {day("2026-01-01"): 10**6, day("2026-01-31"): 15, day("2026-01-02"): 15}
    assert report(ACME, usage, "2026-01-31").to_data()["runs_per_day"] == "1"


def test_the_range() -> None:
    """0 and 20 in turns for 30 days: mean 10, s = 10·√(30/29) = 10.171; of 400 runs 100 are left. Expected
    after 10 days: 100. The upper edge, 10·n + 13.035·√n, passes 100 on day 7 (104.5); the lower one is 99.5,
    that is 100 runs, on day 15 and 107.9 on day 16."""
    usage = {each: 20 * (number % 2) for number, each in enumerate(spread("2026-01-01", "2026-01-30", 0))}
    found = report(acme(grant("g", 400)), usage, "2026-01-30")
    assert found.remaining == 100
    assert runs_out(found) == ["02-06", "02-10", "02-15"]


def test_a_late_edge_beyond_the_term_is_its_end() -> None:
    usage = {each: 20 * (number % 2) for number, each in enumerate(spread("2026-01-01", "2026-01-30", 0))}
    short = acme(grant("g", 570, until="2026-03-01"), end=day("2026-03-01"))
    found = report(short, usage, "2026-01-30")
    assert found.remaining == 270
    assert runs_out(found) == ["02-21", "02-27", "03-01"]


def test_no_grant_nothing_runs_out() -> None:
    found = report(acme(), {day("2026-01-01"): 20_000}, "2026-01-02")
    assert (found.runs_out_on, found.on_demand, found.on_demand_amount, found.top_up) == (
        None,
        20_000,
        5_000,
        None,
    )
    assert report(ACME, {}, "2026-05-01").runs_out_on is None


def test_free_committed_runs_have_a_price_of_zero() -> None:
    data = report(acme(grant("g", 10)), {day("2026-01-01"): 20}, "2026-01-01").to_data()
    assert (data["effective_unit_price"], data["list_unit_price"]) == ("0", "0")
    assert data["top_up"]["price"] == 0  # type: ignore[index]


def test_services_are_delivered_from_their_day_on() -> None:
    services = (Service("Onboarding", 150_000, day("2026-01-01")), Service("Support", 0, day("2026-02-01")))
    delivered = {1: day("2026-01-20"), 7: day("2026-01-01")}
    contract = acme(services=services)
    assert report(contract, {}, "2026-01-19", delivered=delivered).to_data()["services"] == [
        {
            "number": 1, "description": "Onboarding", "amount": 150_000, "invoiced": 0,
            "due_on": "2026-01-01", "status": "due", "delivered": False, "delivered_on": None,
        },
        {
            "number": 2, "description": "Support", "amount": 0, "invoiced": 0,
            "due_on": "2026-02-01", "status": None, "delivered": False, "delivered_on": None,
        },
    ]  # fmt: skip
    (onboarding, _) = report(contract, {}, "2026-01-20", delivered=delivered).services
    assert onboarding.delivered_on == day("2026-01-20")


def test_a_row_a_month() -> None:
    found = report(ACME, WORKED, "2026-12-31")
    lines = found.to_csv().splitlines()
    assert lines[:2] == [
        "month,granted,drawn,expired,on_demand,on_demand_amount,balance",
        "2026-01,1000000,90000,0,0,0.00,910000",
    ]
    assert lines[-1] == "2026-12,0,10000,0,20000,50.00,0"
    assert len(lines) == 13


def test_the_keys_that_are_promised() -> None:
    data = report(TWO, {}, "2026-01-01").to_data()
    assert set(data) >= {
        "contract", "account", "as_of", "committed", "used", "expired", "remaining", "months",
        "runs_per_day", "runs_out_on", "runs_out_range", "expected_unused", "effective_unit_price",
        "list_unit_price", "top_up", "instalments", "services",
    }  # fmt: skip


def test_usage_outside_of_the_term_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="2025-12-31 is outside of the term"):
        report(ACME, {day("2025-12-31"): 1}, "2026-01-01")


def test_one_currency() -> None:
    contract: Any = replace(ACME, currency="EUR")
    with pytest.raises(CurrencyMismatch, match="is in EUR, but plan starter@2021-02 is priced in USD"):
        report(contract, {}, "2026-01-01", STARTER)


@pytest.mark.parametrize(
    ("counts", "edge", "runs"),
    [
        ((), 0, [0, 0, 0]),
        ((1, 2), 0, [2, 1, 2]),  # 1.5, 3, 4.5, each half up
        ((7,), 1, [7, 7, 7]),  # of one day there is no deviation
        ((0, 20), -1, [0, 0, 0]),
        ((5, 5, 5), 1, [5, 5, 5]),
    ],
)
def test_the_pace_in_whole_runs(counts: tuple[int, ...], edge: int, runs: list[int]) -> None:
    assert Pace(counts).by_day(3, edge) == runs
