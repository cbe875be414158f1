"""An account with few free runs, whose thresholds are reached with a handful."""

from __future__ import annotations

import sqlalchemy as sa

from billing.alerts.checking import check_alerts
from billing.plans import load_plan_text
from billing.repository.alerts import Alert
from metering.period import parse_instant
from tests.events import event
from tests.world import World

SMALL = """{"plan": "small", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": 10, "unit_price": "0"}, {"up_to": null, "unit_price": "1"}]}"""
OCTOBER_15 = parse_instant("2026-10-15T12:00:00Z")


def small(engine: sa.Engine, now: int = OCTOBER_15) -> World:
    """Ten runs a month are free; each further one costs a dollar."""
    world = World(engine, now=now)
    load_plan_text(engine, SMALL, "small.json", now)
    world.account(plan="small", since="2026-09", email="ops@acme.example")
    return world


def check(world: World, at: int | None = None) -> list[Alert]:
    service = world.service
    now = world.instant if at is None else at
    return check_alerts(service.engine, service.store, now, grace_hours=24)


def use(world: World, *numbers: int, on: str = "2026-10-15", state: str = "COMPLETED") -> None:
    world.send([event(f"run-{number}", state=state, end=f"{on}T10:00:00Z") for number in numbers])
