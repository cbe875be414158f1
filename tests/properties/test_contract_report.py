"""The report on a contract against a computation that shares no code with it: runs as tokens, one by one, and
the usage to come laid out in fractions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.drawdown import draw
from billing.pricing.run_ledger import balance, to_record
from billing.reporting.contract_report import ContractReport, contract_report
from tests.billing.pricing.data import plan
from tests.examples import few
from tests.properties.test_commitment import END, START, TERM_DAYS, grants, one_by_one, usages

PRICES = plan((3, "0"), (7, "0.50"), (None, "0.25"))  # the nth run of a month, counted below

as_of_days = st.integers(-3, TERM_DAYS + 3).map(lambda number: START + timedelta(days=number))


@st.composite
def contracts(draw_: st.DrawFn) -> Contract:
    held = tuple(replace(grant, price=draw_(st.integers(0, 10**6))) for grant in draw_(grants()))
    return Contract("c", "acme", START, END, "test", "USD", Instalments.MONTHLY, held)


def report(contract: Contract, usage: dict[date, int], as_of: date) -> ContractReport:
    return contract_report(
        contract, dict.fromkeys(contract.months, PRICES), usage, invoiced={}, delivered={}, as_of=as_of
    )


def price_of(runs: int) -> int:
    """In cents, run by run; each bracket's sum is a whole number of quarters of a dollar."""
    return sum(0 if number <= 3 else 50 if number <= 7 else 25 for number in range(1, runs + 1))


def month_of(day: date) -> str:
    return f"{day:%Y-%m}"


@given(contracts(), usages, as_of_days)
def test_what_is_known_agrees_with_drawing_run_by_run(
    contract: Contract, usage: dict[date, int], as_of: date
) -> None:
    found = report(contract, usage, as_of)
    known = {day: runs for day, runs in usage.items() if day <= as_of}
    drawn, on_demand = one_by_one(contract.grants, known)
    by_grant: Counter[str] = Counter()
    for (_, id), runs in drawn.items():
        by_grant[id] += runs

    assert found.committed == sum(grant.runs for grant in contract.grants if grant.granted_on <= as_of)
    assert found.used == sum(drawn.values())
    assert found.expired == sum(
        grant.runs - by_grant[grant.id] for grant in contract.grants if grant.expires_on <= as_of
    )
    assert found.remaining == found.committed - found.used - found.expired >= 0
    ledger = to_record((), contract.grants, draw(contract.grants, known), as_of=as_of, recorded_at=0)
    assert found.remaining == balance(ledger, as_of)

    assert found.used + found.on_demand == sum(known.values())
    for row in found.months:
        name = str(row.month)
        assert row.drawn == sum(runs for (day, _), runs in drawn.items() if month_of(day) == name)
        assert row.on_demand == sum(runs for day, runs in on_demand.items() if month_of(day) == name)
        assert row.on_demand_amount == price_of(row.on_demand)
        last = row is found.months[-1]
        closing = as_of if last else START.replace(month=row.month.number + 1) - timedelta(days=1)
        assert row.balance == balance(ledger, closing)
    assert [str(row.month) for row in found.months] == [
        name for name in ("2024-01", "2024-02", "2024-03") if date.fromisoformat(f"{name}-01") <= as_of
    ]
    for name in ("granted", "drawn", "expired"):
        total = {"granted": found.committed, "drawn": found.used, "expired": found.expired}[name]
        assert sum(getattr(row, name) for row in found.months) == total


@given(contracts(), usages, as_of_days)
def test_what_is_to_come_agrees_with_drawing_run_by_run(
    contract: Contract, usage: dict[date, int], as_of: date
) -> None:
    found = report(contract, usage, as_of)
    until = min(as_of, END - timedelta(days=1))
    window = [until - timedelta(days=number) for number in range(30)]
    window = [day for day in window if day >= START]
    mean = Fraction(sum(usage.get(day, 0) for day in window), len(window)) if window else Fraction(0)
    ahead = [day for number in range(1, TERM_DAYS + 9) if START <= (day := until + timedelta(number)) < END]
    laid_out = {day: runs for day, runs in usage.items() if day <= as_of}
    so_far = 0
    for number, day in enumerate(ahead, start=1):
        laid_out[day] = math.floor(number * mean + Fraction(1, 2)) - so_far
        so_far += laid_out[day]
    drawn, on_demand = one_by_one(contract.grants, laid_out)

    by_grant: Counter[str] = Counter()
    for (_, id), runs in drawn.items():
        by_grant[id] += runs
    assert found.expected_unused == sum(
        grant.runs - by_grant[grant.id] for grant in contract.grants if grant.expires_on > as_of
    )
    uncovered = sorted(day for day, runs in on_demand.items() if runs and day > until)
    if contract.grants and (found.remaining or any(grant.granted_on > as_of for grant in contract.grants)):
        assert found.runs_out_on == next(iter(uncovered), None)
    if found.runs_out_on is None:
        assert found.runs_out_range is None
    else:
        assert found.runs_out_range is not None
        early, late = found.runs_out_range
        assert early <= found.runs_out_on <= late <= END
        assert found.runs_out_on in on_demand
    if uncovered and found.committed:
        assert found.top_up is not None
        assert found.top_up.runs == sum(on_demand[day] for day in uncovered)
        months = dict.fromkeys(map(month_of, uncovered), 0)
        for name in months:
            before = sum(runs for day, runs in on_demand.items() if month_of(day) == name and day <= until)
            whole = sum(runs for day, runs in on_demand.items() if month_of(day) == name)
            months[name] = price_of(whole) - price_of(before)
        assert found.top_up.on_demand_amount == sum(months.values())
        price = Fraction(sum(g.price for g in contract.grants if g.granted_on <= as_of), found.committed)
        assert found.top_up.price == math.floor(price * found.top_up.runs + Fraction(1, 2))
    else:
        assert found.top_up is None


@few(25)
@given(contracts(), usages, as_of_days)
def test_an_exhausted_balance_names_the_day_it_was_first_missed(
    contract: Contract, usage: dict[date, int], as_of: date
) -> None:
    """Where nothing is left and nothing is to come, and a run was missed since: the first such day."""
    if not START <= as_of < END or any(grant.granted_on > as_of for grant in contract.grants):
        return
    found = report(contract, usage, as_of)
    if not contract.grants or found.remaining:
        return
    known = {day: runs for day, runs in usage.items() if day <= as_of}
    ledger = to_record((), contract.grants, draw(contract.grants, known), as_of=END, recorded_at=0)
    empty_since = as_of
    while empty_since > START and not balance(ledger, empty_since - timedelta(days=1)):
        empty_since -= timedelta(days=1)
    _, on_demand = one_by_one(contract.grants, known)
    missed = sorted(day for day, runs in on_demand.items() if runs and day >= empty_since)
    if missed:
        assert found.runs_out_on == missed[0]
        assert found.runs_out_range == (missed[0], missed[0])


def test_the_token_of_a_grant() -> None:
    """The brute force itself, by hand: 2 runs to the end of January, 3 used on the 31st."""
    held = (Grant("g", 2, 0, START, date(2024, 2, 1)),)
    drawn, on_demand = one_by_one(held, {date(2024, 1, 31): 3})
    assert (dict(drawn), dict(on_demand)) == ({(date(2024, 1, 31), "g"): 2}, {date(2024, 1, 31): 1})
