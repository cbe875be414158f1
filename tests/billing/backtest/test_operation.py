"""Backtests of whole installations against every account priced one by one, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from billing.backtest.operation import backtest
from billing.backtest.report import Report
from billing.backtest.thresholds import what_if
from billing.errors import Invalid
from billing.plan_migration import preview_plan
from billing.pricing.plan_file import parse_plan_file
from billing.pricing.terms import Enrolment, changed
from metering.period import Month
from tests.billing.backtest.worlds import (
    DRAFT,
    FIRST,
    LAST,
    MONTHS,
    every_account,
    one_by_one,
    plan_text,
    random_world,
)
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return World(engine)


def run(world: World, *texts: str, instead_of: str | None = None, **more: object) -> Report:
    files = [(text, "draft.json") for text in texts]
    return backtest(
        world.engine,
        world.store,
        files,
        FIRST,
        LAST,
        now=world.instant,
        instead_of=instead_of,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("instead_of", [None, "flow@v1", "task"])
def test_every_account_priced_one_by_one(world: World, seed: int, instead_of: str | None) -> None:
    random_world(world, seed)
    (draft,) = parse_plan_file(DRAFT, "draft.json")
    data = run(world, DRAFT, instead_of=instead_of).to_data()
    found = {each["account"]: each for each in data["accounts"]}
    everyone, held = every_account(world)
    catalogue = held.add(draft)
    months: dict[tuple[str, str], list[int]] = {}
    for account in everyone:
        sums = [0, 0, 0, 0]
        for month in MONTHS:
            now = one_by_one(world, account, catalogue, month)
            if now is None:
                continue
            plan = account.terms.plan(month)
            moves = (instead_of or "flow") in (plan, plan.partition("@")[0])
            terms = account.terms
            if moves and terms.contract(month) is None and account.currency == "USD":
                terms = changed(terms, Enrolment(month, draft.plan, draft.version))
            then = one_by_one(world, replace(account, terms=terms), catalogue, month)
            assert then is not None
            both = [now[0], then[0], now[1], then[1]]
            sums = [a + b for a, b in zip(sums, both, strict=True)]
            key = str(month), account.currency
            held_ = months.setdefault(key, [0, 0, 0, 0])
            months[key] = [a + b for a, b in zip(held_, both, strict=True)]
        if account.id in found:
            each = found.pop(account.id)
            assert [each[name] for name in ("current", "draft", "current_net", "draft_net")] == sums
            assert each["change"] == sums[3] - sums[2]
        else:
            assert sums == [0, 0, 0, 0]
    assert not found
    for each in data["months"]:
        amounts = [each[name] for name in ("current", "draft", "current_net", "draft_net")]
        assert amounts == months.pop((each["month"], each["currency"]))
    assert all(sums == [0, 0, 0, 0] for sums in months.values())
    assert data["left_out"]["unassigned"]["accounts"] == 1
    assert data["left_out"]["not_billed_then"]["accounts"] == 2
    for total in data["totals"]:
        code = total["currency"]
        for part in ("months", "plans", "accounts"):
            for name in ("current", "draft", "current_net", "draft_net", "billable"):
                parts = sum(each[name] for each in data[part] if each["currency"] == code)
                assert parts == total[name], (part, name)


def test_months_that_were_not_billed_may_be_asked_for(world: World) -> None:
    random_world(world, 1)
    data = run(world, DRAFT, unbilled=True).to_data()
    assert data["left_out"]["not_billed_then"] == {"accounts": 0, "billable": 0}


@pytest.mark.parametrize("seed", range(3))
def test_the_preview_of_a_month_is_one_of_these(world: World, seed: int) -> None:
    """Usage of the last whole month on the terms of this one; who is under contract is left alone."""
    random_world(world, seed)
    (draft,) = parse_plan_file(DRAFT, "draft.json")
    report = preview_plan(world.engine, world.store, DRAFT, "draft.json", now=world.instant)
    everyone, held = every_account(world)
    catalogue, november = held.add(draft), Month(2026, 11)
    moved = {each.account: (each.now, each.then) for each in report.moved}
    assert moved
    for account in everyone:
        plan, terms = account.terms.plan(november), account.terms
        if account.id in moved:
            assert plan.startswith("flow@")
            amounts = []
            for name in (plan.partition("@")[2], draft.version):
                only = replace(terms, enrolments=(Enrolment(Month(2026, 1), "flow", name),), contracts=())
                # No program or protection of these covers November.
                bare = replace(account, terms=replace(only, programs=(), protections=()), closed_on=None)
                priced = one_by_one(world, bare, catalogue, LAST)
                amounts.append(0 if priced is None else priced[1])
            assert moved[account.id] == tuple(amounts)
        else:
            assert not plan.startswith("flow@") or account.closed_on is not None


@pytest.mark.parametrize("seed", range(3))
def test_another_threshold_priced_one_by_one(world: World, seed: int) -> None:
    """Nothing, half a second and two: every account's months of the runs that would count, contracts drawn
    anew."""
    random_world(world, seed)
    everyone, catalogue = every_account(world)
    asked = what_if(world.engine, world.store, ["2", "0", "0.5"], FIRST, LAST, now=world.instant)
    data = asked.to_data()
    assert [each["threshold"] for each in data["thresholds"]] == ["0", "0.5", "2"]
    assert [data["thresholds"][0][name] for name in ("just_below", "just_above")] == [0, 0]
    assert data["billable_now"] == sum(
        counts.billable
        for month in MONTHS
        for counts in world.store.counts_by_account(month.start, month.end).values()
    )
    for outcome, us in zip(data["thresholds"], (0, 500_000, 2_000_000), strict=True):
        found = {each["account"]: each for each in outcome["accounts"]}
        for account in everyone:
            now = [one_by_one(world, account, catalogue, month) for month in MONTHS]
            then = [one_by_one(world, account, catalogue, month, us) for month in MONTHS]
            sums = [sum(each[1] for each in half if each is not None) for half in (now, then)]
            each = found.get(account.id, {"current_net": 0, "draft_net": 0})
            assert [each["current_net"], each["draft_net"]] == sums
        names = [*(account.id for account in everyone), "stranger"]
        days = world.store.days_at(names, FIRST.start, LAST.end, us)
        assert outcome["billable"] == sum(sum(each.values()) for each in days.values())
    both = run(world, DRAFT, threshold="2").to_data()
    alone = {each["currency"]: each for each in data["thresholds"][2]["totals"]}
    for total in both["totals"]:
        assert total["current_net"] == alone[total["currency"]]["current_net"]


@pytest.mark.parametrize("wrong", ["", "x", "-1", "0.0000001", "3601", "NaN", "1e99", "Infinity"])
def test_what_is_no_threshold(world: World, wrong: str) -> None:
    with pytest.raises(Invalid, match="not a threshold"):
        what_if(world.engine, world.store, [wrong], FIRST, LAST, now=world.instant)


def test_what_is_solved_keeps_revenue(world: World) -> None:
    """The plan that is answered, given as a draft, brings what was said."""
    random_world(world, 2)
    report = run(world, DRAFT, solve=["free-runs", "price:2"])
    free, price = report.solved
    for each in (free, price):
        assert each.version is not None and each.brings is not None and each.brings >= each.target
        text = plan_text(
            "flow", "solved", *((bracket.up_to, str(bracket.unit_price)) for bracket in each.version.brackets)
        )
        again = run(world, text).rerated
        assert sum(again.net_then[again.moves].tolist()) == each.brings
        assert sum(again.net_now[again.moves].tolist()) == each.target


@pytest.mark.parametrize(
    ("texts", "more", "says"),
    [
        ([DRAFT], {"first": Month(2026, 11), "last": Month(2026, 10)}, "ends before it begins"),
        ([DRAFT], {"last": Month(2026, 12)}, "2026-12 has not begun"),
        ([DRAFT], {"first": Month(2020, 1)}, "more than 60 months"),
        ([DRAFT], {"instead_of": "nothing"}, "nobody can be on plan 'nothing'"),
        ([DRAFT.replace('"flow"', '"new"')], {}, "nobody can be on plan 'new'"),
        ([DRAFT, DRAFT.replace('"draft"', '"other"')], {}, "compare them one after the other"),
        ([DRAFT, DRAFT.replace('"flow"', '"task"')], {"instead_of": "flow"}, "of one draft"),
        ([DRAFT.replace('"draft"', '"v1"')], {}, "loaded already, with other content"),
        ([DRAFT.replace('"0.2"', '"-1"')], {}, "negative"),
        ([DRAFT], {"solve": ["price:4"]}, "has no bracket 4"),
        ([DRAFT], {"solve": ["price"]}, "cannot be solved for"),
    ],
)
def test_what_is_refused(world: World, texts: list[str], more: dict[str, object], says: str) -> None:
    random_world(world, 0)
    asked: dict[str, object] = {"first": FIRST, "last": LAST, "now": world.instant} | more
    with pytest.raises(Invalid, match=says):
        backtest(world.engine, world.store, [(text, "d.json") for text in texts], **asked)  # type: ignore[arg-type]


def test_nobody_ran_anything(world: World) -> None:
    text = DRAFT.replace('"flow"', '"starter"')
    data = run(world, text, solve=["free-runs", "price:2"]).to_data()
    assert data["accounts"] == data["months"] == data["totals"] == []
