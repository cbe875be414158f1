"""Cheats of each kind among honest accounts, on every engine; and what is at stake."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from billing.anomalies import accounts_with_signs, find_anomalies
from billing.app import Service
from billing.corrections import correct
from billing.errors import NotFound
from billing.plans import load_plan_text
from metering.period import Month
from metering.signs import Sign
from metering.store import EventStore
from tests.billing.misuse import CHEATS, HONEST, MONTHS, OCTOBER, send_months
from tests.conftest import STORES
from tests.stores import Stores
from tests.world import World

# Every billable run costs a cent.
PLAN = {
    "plan": "cent",
    "version": "2021-02",
    "effective_from": "2021-02-01",
    "currency": "USD",
    "soft_limit": None,
    "brackets": [{"up_to": 100, "unit_price": "0"}, {"up_to": None, "unit_price": "0.01"}],
}


@pytest.fixture(scope="module", params=STORES)
def world(request: pytest.FixtureRequest) -> World:
    """Nobody changes it."""
    stores: Stores = request.getfixturevalue(f"{request.param}_stores")
    store = stores.new()
    return _with_months(stores.engine_of(store), store)


def _with_months(engine: sa.Engine, store: EventStore) -> World:
    world = World(engine, now=OCTOBER.end)
    world.store = store
    service = world.service
    world.service = Service(service.settings, engine, store, service.now, None)
    load_plan_text(engine, json.dumps(PLAN), "cent.json", OCTOBER.end)
    for account in (*HONEST, *(each for each in CHEATS if each != "twin-2")):
        since = "2026-11" if account == "newcomer" else "2026-07"
        world.account(account, plan="cent", since=since)
    send_months(store)
    return world


def test_each_cheat_is_shown_and_nobody_else(world: World) -> None:
    found = find_anomalies(world.service, OCTOBER)
    shown = [(each.sign.account, each.sign.kind) for each in found.signs]
    assert sorted(shown) == sorted(
        {
            *CHEATS.items(),
            ("splitter", "too_short_share"),
        }
    )
    assert found.accounts == len(HONEST) + len(CHEATS)
    assert not found.ok
    assert accounts_with_signs(world.service, OCTOBER) == len(CHEATS)
    for month in MONTHS[:3]:
        assert find_anomalies(world.service, month).ok


def test_the_most_valuable_is_the_first_and_what_is_not_billed_the_last(world: World) -> None:
    signs = find_anomalies(world.service, OCTOBER).signs
    values = [each.value for each in signs if each.value is not None]
    assert values == sorted(values, reverse=True)
    assert signs[-1].sign.account == "twin-2"
    assert (signs[-1].value, signs[-1].currency, signs[-1].plan) == (None, None, None)


def test_what_the_figures_say(world: World) -> None:
    found = find_anomalies(world.service, OCTOBER).signs
    signs = {(each.sign.account, each.sign.kind): each for each in found}
    cacher = signs["cacher", "cached_share"]
    assert (cacher.sign.part, cacher.sign.whole, cacher.sign.far_from) == (1140, 1500, ("own", "others"))
    assert cacher.sign.own is not None and cacher.sign.own.of == 3
    # Six in a hundred are usual. Of its 150 billable runs 100 were free: these would not have been.
    assert (cacher.sign.excess, cacher.value) == (1050, 1050)
    late, new = signs["latecomer", "backdated"], signs["newcomer", "backdated"]
    for each in (late, new):
        assert each.sign.part == each.sign.after_month == each.sign.excess
        assert each.sign.younger == each.sign.whole
    # In November 100 of them would be free, in October hardly any is.
    assert late.value == 0
    # Its billing began in November: in October none costs anything.
    assert new.value == new.sign.part - 100
    twin = signs["twin-1", "shared_run_id"]
    assert (twin.sign.part, twin.sign.excess, twin.sign.accounts) == (1500, 885, ("twin-2",))


def test_one_account_is_compared_with_all(world: World) -> None:
    whole = find_anomalies(world.service, OCTOBER)
    alone = find_anomalies(world.service, OCTOBER, "cacher")
    assert alone.signs == [each for each in whole.signs if each.sign.account == "cacher"]
    assert find_anomalies(world.service, OCTOBER, "honest-00").ok
    with pytest.raises(NotFound):
        find_anomalies(world.service, OCTOBER, "nobody")


def test_a_month_without_runs_has_no_signs(world: World) -> None:
    found = find_anomalies(world.service, Month.parse("2020-01"))
    assert found.ok and found.accounts == 0


def test_what_the_operator_reversed_is_no_sign_of_theirs(stores: Stores) -> None:
    """Half of an honest account's runs, and all of those who split theirs and back-date them."""
    store = stores.new()
    world = _with_months(stores.engine_of(store), store)
    before = [each.sign for each in find_anomalies(world.service, OCTOBER).signs]
    for account, part in ((HONEST[0], 2), ("splitter", 1), ("latecomer", 1)):
        ids = [run.task_run_id for run in store.runs(account, OCTOBER.start, OCTOBER.end, _ever(store))]
        done = correct(
            world.engine, store, account, ids[::part], "reverse", "settled", author="ann", now=OCTOBER.end
        )
        assert done.corrected > 500 and not done.errors
    after = [each.sign for each in find_anomalies(world.service, OCTOBER).signs]
    assert sorted(after, key=_name) == sorted(before, key=_name)
    store.close()


def _ever(store: EventStore) -> int:
    return store.cutoff().position


def _name(sign: Sign) -> tuple[str, str]:
    return sign.account, sign.kind
