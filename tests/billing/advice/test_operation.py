"""Advice to an account, and contracts by risk, through the doors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from billing.advice.operation import advise
from billing.advice.risks import contract_risks
from billing.app import Service
from billing.contracts import add_contract
from billing.errors import Invalid, NotFound
from billing.pricing.contract_file import contract_from_data
from tests.billing.api.client import Client, running
from tests.billing.backtest.worlds import random_world
from tests.conftest import NewDatabase
from tests.quantities import QuantityStore, Sender
from tests.world import World

TODAY = date(2026, 11, 2)


@pytest.fixture
def world(sqlite_databases: NewDatabase) -> World:
    """acme ran 3,000 a day since November of last year; it is the second of November."""
    world = World(sqlite_databases())
    store = QuantityStore()
    world.service = replace(world.service, store=store)
    world.account("acme", plan="standard")
    world.account("idle", plan="standard")
    sender = Sender("acme")
    for back in range(370, 0, -1):
        store.receive(sender.new(3_000, TODAY - timedelta(back)), world.instant)
    return world


@pytest.fixture
def lite(sqlite_databases: NewDatabase) -> Iterator[Client]:
    with running(World(sqlite_databases())) as client:
        yield client


def told(service: Service, now: int, **more: Any) -> dict[str, Any]:
    return advise(service, "acme", now=now, **more).to_data()


def test_an_account(world: World) -> None:
    """365 days of 3,000 runs; months of 28, 30 and 31 days."""
    data = told(world.service, world.instant, offers=["500000:1000.00", "1095000:2500.00"])
    past, ahead = data["past"], data["next"]
    assert (past["from"], past["to"], past["billable"]) == ("2025-11", "2026-10", 1_095_000)
    # 84,000 are 370.00, 90,000 are 400.00, 93,000 are 415.00.
    assert past["on_demand"] == 37_000 + 4 * 40_000 + 7 * 41_500
    assert (ahead["from"], ahead["to"], ahead["billable"]) == ("2026-12", "2027-11", 1_095_000)
    assert ahead["low"] <= ahead["billable"] <= ahead["high"]
    half, whole = data["offers"]
    assert whole["past"]["saving"] == past["on_demand"] - 250_000
    assert (whole["past"]["unused"], half["past"]["unused"]) == (0, 0)
    assert half["past"]["runs_out_on"] == "2026-04-16"
    assert past["cheapest"] == {"runs": 1_095_000, "price": 250_000, "saving": past["on_demand"] - 250_000}
    assert 1 < whole["next"]["break_even_percent"] < 100


def test_sizes_where_nothing_is_offered(world: World) -> None:
    data = told(world.service, world.instant)
    assert [each["price"] for each in data["offers"]] == [None] * 7
    assert data["past"]["cheapest"] is None
    dear = told(world.service, world.instant, unit_price="0.01")
    assert dear["offers"][3]["runs"] == 986_000 and dear["offers"][3]["price"] == 986_000
    assert dear["past"]["cheapest"] is None


def test_of_who_grows_the_next_year_is_looked_at_too(world: World) -> None:
    """Two percent more every week: what comes of the next year, if it goes on, is within the range, and there
    are sizes up to what is expected of it."""
    world.account("grows", plan="standard")
    sender = Sender("grows")
    store = world.service.store
    assert isinstance(store, QuantityStore)
    for back in range(370, 0, -1):
        store.receive(sender.new(grown(-back), TODAY - timedelta(back)), world.instant)
    data = advise(world.service, "grows", now=world.instant).to_data()
    past, ahead, runs = data["past"], data["next"], [each["runs"] for each in data["offers"]]
    came = sum(grown((date(2026, 12, 1) - TODAY).days + number) for number in range(365))
    assert ahead["low"] <= ahead["billable"] < came <= ahead["high"]
    assert ahead["billable"] > 1.9 * past["billable"]
    assert max(runs) > ahead["billable"] > 1.5 * past["billable"] and min(runs) < past["billable"] / 3
    whole = next(each for each in data["offers"] if each["runs"] > ahead["billable"])
    assert whole["next"]["high"]["runs_out_on"] < "2027-12"
    assert whole["next"]["low"]["unused"] >= whole["next"]["unused"] > 0 == whole["next"]["high"]["unused"]
    assert "trend" in data["basis"]


def grown(day: int) -> int:
    return round(5_000 * 1.02 ** (day / 7))


def test_of_who_is_new_it_is_said_that_most_months_are_empty(world: World) -> None:
    world.account("new", plan="standard")
    store = world.service.store
    assert isinstance(store, QuantityStore)
    last = date(TODAY.year, TODAY.month, 1) - timedelta(1)
    store.receive(Sender("new").new(9_000, last), world.instant)
    data = advise(world.service, "new", now=world.instant).to_data()
    assert data["past"]["months_with_runs"] == 1
    assert "of the last 12 months only 1 had billable runs" in data["message"]
    assert "only" not in told(world.service, world.instant)["message"]


def test_who_ran_nothing(world: World) -> None:
    data = advise(world.service, "idle", now=world.instant, offers=["1000:1.00"]).to_data()
    assert data["next"] is None and "nothing ran" in data["message"]
    assert data["offers"][0]["past"]["saving"] == -100
    assert advise(world.service, "idle", now=world.instant).to_data()["offers"] == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"offers": ["x"]}, "offer"),
        ({"offers": ["0:1.00"]}, "offer"),
        ({"offers": ["10:"]}, "offer"),
        ({"offers": ["10:-1"]}, "offer"),
        ({"offers": ["10:1.001"]}, "offer"),
        ({"offers": ["1:1"] * 21}, "offer"),
        ({"unit_price": "x"}, "unit_price"),
        ({"unit_price": "NaN"}, "unit_price"),
        ({"plan": "gold"}, "plan"),
    ],
)
def test_what_is_refused(world: World, more: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        told(world.service, world.instant, **more)
    assert refused.value.field == field
    with pytest.raises(NotFound):
        advise(world.service, "nobody", now=world.instant)


def test_contracts_by_risk(world: World) -> None:
    """acme's 400,000 are used up long before the end; idle's 100,000 for 200.00 are never drawn."""
    for account, runs, price in (("acme", 400_000, "900.00"), ("idle", 100_000, "200.00")):
        grant = {"id": "g", "runs": runs, "price": price}
        term = {"id": f"{account}-c", "account": account, "start": "2026-10-01", "end": "2027-10-01"}
        agreed = {"plan": "standard", "currency": "USD", "instalments": "upfront", "grants": [grant]}
        contract = contract_from_data(term | agreed)
        add_contract(world.engine, contract, by="operator", now=world.instant)
    found = [each.to_data() for each in contract_risks(world.service, now=world.instant)]
    acme, idle = found
    assert "last 30 days" in acme["basis"]
    assert (acme["contract"], acme["risks"], acme["runs_out_on"]) == ("acme-c", ["exhausted"], "2027-02-11")
    assert acme["on_demand_amount"] > 0 and acme["expected_unused"] == 0
    assert (idle["risks"], idle["expected_unused"], idle["unused_value"]) == (["unused"], 100_000, 20_000)


def test_over_http(lite: Client) -> None:
    random_world(lite.world, 2)
    service, now = lite.world.service, lite.world.instant
    asked = lite.get("/v1/accounts/account-0/advice?offer=20:3.00").json()
    assert asked == advise(service, "account-0", now=now, offers=["20:3.00"]).to_data()
    assert lite.get("/v1/accounts/account-0/advice?offer=x").json()["field"] == "offer"
    assert lite.get("/v1/accounts/nobody/advice").status_code == 404
    term = {"id": "now", "account": "account-0", "start": "2026-11-01", "end": "2027-11-01"}
    grant = {"id": "g", "runs": 10, "price": "1.00"}
    agreed = {"plan": "flow@v1", "currency": "USD", "instalments": "upfront", "grants": [grant]}
    add_contract(lite.world.engine, contract_from_data(term | agreed), by="operator", now=now)
    (risk,) = lite.get("/v1/contract-risks").json()
    assert [risk] == [each.to_data() for each in contract_risks(service, now=now)]
