"""Each threshold is told once, and never before it is reached: whatever the order and number of checks,
whatever comes late or is taken back, and whoever is killed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import billing.tables
from billing.alerts.checking import account_alerts, check_alerts, list_alerts
from billing.alerts.settings import alert_settings, set_alerts
from billing.contracts import add_contract, add_grant
from billing.corrections import correct
from billing.errors import Invalid, NotFound
from billing.notification_tables import events
from billing.pricing.contract import Contract, Instalments
from billing.repository.alerts import Alert
from metering.database import reading
from metering.period import DAY_US, HOUR_US, parse_instant
from tests.billing.alerts.small import check, small, use
from tests.billing.pricing.contracts import day, grant
from tests.conftest import NewDatabase
from tests.events import event
from tests.examples import share
from tests.world import World


def said(found: list[Alert]) -> list[tuple[str, str, int]]:
    return [(each.kind, each.basis, each.threshold) for each in found]


def told(engine: sa.Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [json.loads(row.body) for row in connection.execute(sa.select(events).order_by(events.c.id))]


def test_thresholds_are_told_as_they_are_reached(world: World) -> None:
    assert check(world) == []
    use(world, *range(4))
    assert check(world) == []
    use(world, 4)
    assert said(check(world)) == [("free_runs", "actual", 50)]
    assert check(world) == []
    use(world, *range(5, 12))
    assert said(check(world)) == [("free_runs", "actual", 80), ("free_runs", "actual", 100)]
    bodies = told(world.engine)
    assert [each["data"]["threshold"] for each in bodies] == [50, 80, 100]
    assert bodies[0] == {
        "type": "usage.threshold_reached",
        "timestamp": "2026-10-15T12:00:00Z",
        "data": {
            "account": "acme",
            "message": "50 % of the 10 free task runs of 2026-10 of acme are used: 5 task runs, 5 are left.",
            "alert": list_alerts(world.engine)[0].id,
            "kind": "free_runs",
            "period": "2026-10",
            "limit": 10,
            "actual": 5,
            "forecast": None,
            "currency": None,
            "basis": "actual",
            "threshold": 50,
        },
    }


def test_of_several_who_look_at_once_each_alert_has_one_teller(world: World) -> None:
    """Whoever comes second finds it told. Their events are as many as the alerts."""
    world.account("globex", plan="small", since="2026-09")
    use(world, *range(12))
    world.send([event(f"g-{number}", account="globex", end="2026-10-15T10:00:00Z") for number in range(9)])
    set_alerts(world.engine, "acme", budget="1.00", by="test", now=world.instant)
    together = Barrier(4)

    def look(_: int) -> list[Alert]:
        together.wait()
        return check(world)

    with ThreadPoolExecutor(4) as threads:
        found = [each for alerts in threads.map(look, range(4)) for each in alerts]
    kept = list_alerts(world.engine)
    assert sorted(each.id for each in found) == sorted(each.id for each in kept)
    keys = {(each.account, each.kind, each.basis, each.threshold) for each in kept}
    assert len(keys) == len(kept) >= 3 + 3 + 2  # 50, 80, 100 of runs and budget; 50 and 80 of globex
    assert len(told(world.engine)) == len(kept)


def test_of_thresholds_reached_together_one_is_worth_a_mail(world: World) -> None:
    use(world, *range(9))
    check(world)
    with reading(world.engine) as connection:
        rows = connection.execute(sa.select(events).order_by(events.c.id)).all()
    assert [(json.loads(row.body)["data"]["threshold"], row.mail) for row in rows] == [
        (50, False),
        (80, True),
    ]


def test_a_forecast_says_so_and_what_has_happened_is_not_forecast(world: World) -> None:
    use(world, 1, 2, on="2026-10-14")
    # Two runs in the one complete day: two a day on 17 more days and what is left of this one.
    found = check(world)
    assert said(found) == [("free_runs", "forecast", each) for each in (50, 80, 100)]
    assert all(each.message.startswith("Forecast: ") for each in found)
    assert [each["data"]["basis"] for each in told(world.engine)] == ["forecast"] * 3
    use(world, 3, 4, 5)
    assert said(check(world)) == [("free_runs", "actual", 50)]


def test_what_has_happened_is_not_forecast_after_it_was_taken_back(world: World) -> None:
    use(world, *range(5))
    assert said(check(world)) == [("free_runs", "actual", 50)]
    for number in (3, 4):
        _correct(world, number, "reverse")
    tomorrow = world.instant + DAY_US
    assert said(check(world, tomorrow)) == [("free_runs", "forecast", each) for each in (80, 100)]
    for number in (3, 4):
        _correct(world, number, "restore")
    assert check(world, tomorrow) == []


def test_a_budget_is_compared_with_the_price_of_the_month(world: World) -> None:
    set_alerts(world.engine, "acme", budget="4.00", by="test", now=world.instant)
    use(world, *range(12))
    assert ("budget", "actual", 50) in said(check(world))
    # Another budget is another limit; the one before is not told again when it comes back.
    set_alerts(world.engine, "acme", budget="2.00", by="test", now=world.instant)
    assert said(check(world)) == [("budget", "actual", each) for each in (50, 80, 100)]
    set_alerts(world.engine, "acme", budget="4.00", by="test", now=world.instant)
    assert check(world) == []
    set_alerts(world.engine, "acme", budget="none", by="test", now=world.instant)
    use(world, *range(12, 40))
    assert check(world) == []
    data = account_alerts(world.engine, world.store, "acme", world.instant)
    assert (data["budget"], data["mail"]) == (None, True)


@pytest.mark.parametrize(
    ("budget", "says"),
    [("0", "above zero"), ("-1", "above zero"), ("x", "not an amount"), ("1.001", "digits")],
)
def test_a_budget_that_is_none(world: World, budget: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as raised:
        set_alerts(world.engine, "acme", budget=budget, by="test", now=world.instant)
    assert raised.value.field == "budget"


def test_what_is_not_there_is_said(world: World) -> None:
    with pytest.raises(Invalid, match="say what changes"):
        set_alerts(world.engine, "acme", by="test", now=world.instant)
    for ask in (
        lambda: set_alerts(world.engine, "nobody", mail=False, by="test", now=world.instant),
        lambda: alert_settings(world.engine, "nobody"),
        lambda: account_alerts(world.engine, world.store, "nobody", world.instant),
        lambda: check_alerts(world.engine, world.store, world.instant, grace_hours=24, account="nobody"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_another_month_begins_anew_and_the_one_before_is_looked_at_in_its_grace_period(world: World) -> None:
    use(world, *range(5))
    check(world)
    use(world, *range(5, 10), on="2026-10-31")
    november = parse_instant("2026-11-01T12:00:00Z")
    assert said(check(world, november)) == [
        ("free_runs", "actual", 80),
        ("free_runs", "actual", 100),
        *(("free_runs", "forecast", each) for each in (50, 80, 100)),
    ]
    assert {each.period for each in list_alerts(world.engine)} == {"2026-10", "2026-11"}
    use(world, *range(20, 29), on="2026-11-02")
    later = check(world, november + DAY_US)
    assert {(each.period, each.basis) for each in later} == {("2026-11", "actual")}


def test_a_commitment_is_told_of_once_a_term_and_again_after_a_top_up(engine: sa.Engine) -> None:
    world = small(engine)
    contract = Contract(
        "acme-2026",
        "acme",
        day("2026-10-01"),
        day("2027-10-01"),
        "small@1",
        "USD",
        Instalments.UPFRONT,
        (grant("g1", 20, since="2026-10-01", until="2027-10-01"),),
    )
    add_contract(engine, contract, by="test", now=world.instant)
    use(world, *range(16))
    assert said(check(world)) == [("commitment", "actual", 50), ("commitment", "actual", 80)]
    assert check(world, world.instant + HOUR_US) == []
    assert {each["type"] for each in told(engine)} == {"contract.run_balance_low"}
    add_grant(engine, "acme-2026", 4, "1.00", day("2026-10-15"), by="test", now=world.instant)
    assert [(each.limit, each.threshold, each.value) for each in check(world)] == [(24, 50, 16)]


@pytest.mark.behind_the_back
def test_an_account_that_cannot_be_priced_does_not_keep_others_from_being_told(world: World) -> None:
    world.account("other", plan="small", since="2026-09")
    world.send([event(f"o{number}", account="other", end="2026-10-15T10:00:00Z") for number in range(5)])
    use(world, *range(5))
    terms = billing.tables.account_terms
    with world.engine.begin() as connection:
        mine = terms.c.account_id == "acme"
        connection.execute(
            terms.update().where(mine).values(data=sa.func.replace(terms.c.data, '"1"', '"none"'))
        )
    assert {each.account for each in check(world)} == {"other"}


def test_accounts_before_billing_and_after_closing_are_left_alone(engine: sa.Engine) -> None:
    world = small(engine)
    world.account("later", plan="small", since="2026-12")
    world.send([event(f"l{number}", account="later", end="2026-10-15T10:00:00Z") for number in range(50)])
    assert check(world) == []


# A step: a run succeeds, is taken back, comes back, comes late to September; or figures are compared.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 15)),
        st.tuples(st.just("reverse"), st.integers(0, 15)),
        st.tuples(st.just("restore"), st.integers(0, 15)),
        st.tuples(st.just("late"), st.integers(16, 30)),
        st.tuples(st.just("check"), st.integers(0, 30)),
    ),
    max_size=40,
)


@share(30)
@given(steps=steps, ends_with_check=st.booleans())
def test_each_threshold_once_and_never_before_it_is_reached(
    sqlite_databases: NewDatabase, steps: list[tuple[str, int]], ends_with_check: bool
) -> None:
    world = small(sqlite_databases())
    set_alerts(world.engine, "acme", budget="3.00", by="test", now=world.instant)
    now = world.instant
    all_told: list[Alert] = []
    most = 0
    for what, number in [*steps, *([("check", 1)] if ends_with_check else [])]:
        if what == "check":
            now += number * HOUR_US // 4
            data = account_alerts(world.engine, world.store, "acme", now)
            found = check(world, now)
            figures = {each["kind"]: each for each in data["figures"]}  # type: ignore[attr-defined]
            most = max(most, figures["free_runs"]["actual"]) if data["month"] == "2026-10" else most
            for each in found:
                if each.period == data["month"]:
                    assert each.value == figures[each.kind][each.basis]
                assert each.value * 100 >= each.threshold * each.limit
            all_told += found
        elif what == "use":
            use(world, number)
        elif what == "late":
            use(world, number, on="2026-09-30")
        else:
            _correct(world, number, what)
    keys = [(each.kind, each.period, each.basis, each.threshold) for each in all_told]
    assert len(keys) == len(set(keys))
    actual = {key[3] for key in keys if key[:3] == ("free_runs", "2026-10", "actual")}
    assert actual == {each for each in (50, 80, 100) if most * 100 >= each * 10}
    for kind, period, basis, threshold in keys:
        if basis == "forecast":  # told only ahead of what it forecasts
            place = keys.index((kind, period, basis, threshold))
            assert (kind, period, "actual", threshold) not in keys[:place]
    assert len(told(world.engine)) == len(all_told)
    assert [each.id for each in list_alerts(world.engine)] == [each.id for each in all_told]


def _correct(world: World, number: int, action: str) -> None:
    correct(
        world.engine,
        world.store,
        "acme",
        [f"run-{number}"],
        action,
        "a test",
        author="test",
        now=world.instant,
    )
