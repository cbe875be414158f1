"""A backtest against the ordinary rating functions, one account and month after the other: to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from billing.backtest.findings import per_account
from billing.backtest.history import Draft
from billing.backtest.holding import holding
from billing.backtest.rerating import rerate
from billing.backtest.solving import _with_free_runs, solve_free_runs, solve_price
from billing.pricing.adjustment import priced
from billing.pricing.basis import Basis
from billing.pricing.catalogue import Bracket, PlanVersion
from billing.pricing.currency import currency
from billing.pricing.invoice import compose
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts
from tests.billing.backtest.histories import Row, history

CODES = ("USD", "JPY", "ISK", "KWD")
MONTHS = tuple(Month(2026, number) for number in range(1, 5))
NEVER = date(2099, 1, 1)

# Prices in 10^-12 of the major unit: some that pay a cent a run, some beyond 64 bits.
prices = st.integers(0, 10**11) | st.integers(0, 10**24 - 1) | st.just(0)
quantities = st.integers(0, 200) | st.integers(0, 10**12)
percentages = st.just(Decimal(0)) | st.integers(1, 10**6).map(lambda n: Decimal(n).scaleb(-4))


@st.composite
def schedules(draw: st.DrawFn, plan: str, version: str, code: str, *, small: bool = False) -> PlanVersion:
    bounds = sorted(draw(st.sets(st.integers(1, 150) | st.integers(1, 10**12), max_size=4)))
    paid = st.integers(0, 10**11) if small else prices
    brackets = tuple(Bracket(up_to, Decimal(draw(paid)).scaleb(-12)) for up_to in (*bounds, None))
    return PlanVersion(plan, version, date(2021, 2, 1), code, None, brackets)


@st.composite
def cases(draw: st.DrawFn, *, small: bool = False) -> tuple[list[Row], Draft]:
    """Accounts of two currencies on two plans, in some months; and a draft of one of them."""
    home, abroad = draw(st.lists(st.sampled_from(CODES), min_size=2, max_size=2, unique=True))
    made = {
        (plan, version, code): draw(schedules(plan, version, code, small=small))
        for plan, version, code in (
            ("one", "v1", home),
            ("one", "v2", home),
            ("two", "v1", home),
            ("one", "x", abroad),
        )
    }
    rows = []
    for number in range(draw(st.integers(1, 6))):
        code = draw(st.sampled_from([home, home, abroad]))
        fitting = [each for each in made.values() if each.currency == code]
        for month in draw(st.sets(st.sampled_from(MONTHS), min_size=1)):
            billable = draw(quantities)
            on_demand = draw(st.none() | st.integers(0, billable))
            step = currency(code).step
            rows.append(
                Row(
                    f"account-{number}",
                    month,
                    draw(st.sampled_from(fitting)),
                    billable,
                    percent=draw(percentages),
                    charge=draw(st.none() | st.integers(0, 10**6).map(lambda n, step=step: n * step)),
                    rated=on_demand,
                    under_contract=on_demand is not None,
                )
            )
    draft = draw(schedules("one", "draft", home, small=small))
    return rows, Draft(draft, draw(st.sampled_from(["one", "one@v2", "two"])))


def one_by_one(row: Row, version: PlanVersion) -> tuple[int, int]:
    """The usage lines of an invoice, and what its own lines come to, as a billing run composes it."""
    programs = (Program(ProgramName.STARTUPS, row.percent, date(2020, 1, 1), NEVER),) if row.percent else ()
    contract = None
    if row.under_contract:
        assert row.rated is not None
        contract = ContractMonth("c", row.billable - row.rated, row.rated)
    document = compose(
        Basis(
            row.account,
            row.month,
            version.currency,
            Counts({Outcome.BILLABLE: row.billable}),
            version,
            contract=contract,
            programs=programs,
            protection=None if row.charge is None else PriceProtection(row.charge, NEVER),
        )
    )
    usage = sum(line.amount for line in document.lines if line.kind in ("usage", "on_demand"))
    return usage, priced(document.lines).amount


def moves(row: Row, draft: Draft) -> bool:
    named = draft.instead_of in (row.version.plan, row.version.id)
    return named and not row.under_contract and row.version.currency == draft.version.currency


@given(cases())
def test_a_backtest_is_every_account_rated_one_by_one(case: tuple[list[Row], Draft]) -> None:
    rows, draft = case
    rerated = rerate(history(*rows), [draft])
    for place, row in enumerate(rows):
        then = draft.version if moves(row, draft) else row.version
        assert (int(rerated.usage_now[place]), int(rerated.net_now[place])) == one_by_one(row, row.version)
        assert (int(rerated.usage_then[place]), int(rerated.net_then[place])) == one_by_one(row, then)
        assert bool(rerated.moves[place]) == moves(row, draft)


@given(cases())
def test_the_protection_holds_harmless_and_a_coin_more_does_not(case: tuple[list[Row], Draft]) -> None:
    rows, draft = case
    told = history(*rows)
    rerated = rerate(told, [draft])
    found = per_account(rerated)
    step = np.array([currency(code).step for code in told.currencies], dtype=np.int64)
    held = holding(told.account, rerated.net_now, rerated.net_then, len(told.accounts), step)
    for place, account in enumerate(told.accounts):
        own = [(row, at) for at, row in enumerate(rows) if row.account == account]
        now = [int(rerated.net_now[at]) for _, at in own]
        then = [int(rerated.net_then[at]) for _, at in own]
        coin = int(step[place])
        if any(after > before for before, after in zip(now, then, strict=True)):
            charge = int(held.every_month[place])
            assert all(min(a, charge) <= b for b, a in zip(now, then, strict=True))
            assert any(min(a, charge + coin) > b for b, a in zip(now, then, strict=True))
            assert held.every_month_costs[place] == sum(then) - sum(min(each, charge) for each in then)
        if found.change[place] > 0:
            charge = int(held.in_all[place])
            assert sum(min(each, charge) for each in then) <= sum(now)
            assert sum(min(each, charge + coin) for each in then) > sum(now)


@given(cases(small=True))
def test_what_is_solved_is_the_last_that_keeps_revenue(case: tuple[list[Row], Draft]) -> None:
    rows, draft = case
    rerated = rerate(history(*rows), [draft])
    moving = [row for row in rows if moves(row, draft)]
    target = sum(one_by_one(row, row.version)[1] for row in moving)

    def brings(version: PlanVersion) -> int:
        return sum(one_by_one(row, version)[1] for row in moving)

    free = solve_free_runs(rerated, 0)
    assert free.target == target
    if free.value is None:
        assert brings(_with_free_runs(draft.version, 0)) < target or target == 0
    else:
        assert isinstance(free.value, int) and free.version is not None
        assert brings(free.version) == free.brings and brings(free.version) >= target
        after = _with_free_runs(draft.version, free.value + 1)
        assert brings(after) == free.next_brings and brings(after) < target
    for bracket in range(1, len(draft.version.brackets) + 1):
        price = solve_price(rerated, 0, bracket, places=12)
        if price.value is None:
            dear = replace(draft.version.brackets[bracket - 1], unit_price=Decimal(10**11))
            brackets = list(draft.version.brackets)
            brackets[bracket - 1] = dear
            assert brings(replace(draft.version, brackets=tuple(brackets))) < target
            continue
        assert price.version is not None
        assert brings(price.version) == price.brings and brings(price.version) >= target
        if price.next_value is not None:
            assert isinstance(price.value, Decimal) and isinstance(price.next_value, Decimal)
            assert price.value - price.next_value == Decimal("1e-12")
            brackets = list(draft.version.brackets)
            brackets[bracket - 1] = replace(brackets[bracket - 1], unit_price=price.next_value)
            assert brings(replace(draft.version, brackets=tuple(brackets))) == price.next_brings
            assert price.next_brings is not None and price.next_brings < target
