"""The daily job that finds what webhooks did not bring, with the clock frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from freezegun import freeze_time
from structlog.testing import capture_logs

from billing.invoices import show_invoice
from billing.jobs import RECONCILE, Jobs, schedule_data
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, StripeSandbox
from metering import clock
from metering.period import SECOND_US, parse_instant
from tests.billing.months import dollars
from tests.events import runs
from tests.faults.in_process import Wire
from tests.world import OCTOBER, World


@pytest.fixture
def sandbox() -> StripeSandbox:
    return StripeSandbox(clock=lambda: parse_instant("2026-11-02T00:00:00Z") // SECOND_US, seed="job")


@pytest.fixture
def world(engine: sa.Engine, sandbox: StripeSandbox) -> Iterator[World]:
    """October is billed and sent; its service lives by the clock, which the tests freeze."""
    gateway = StripeGateway("sk_test_sandbox", wire=Wire(sandbox), retries=0)
    world = dollars(engine, gateway, email="billing@acme.example")
    world.send(runs(5))
    world.service = replace(world.service, now=clock.now_instant)
    with freeze_time("2026-11-02T01:00:00Z"):
        assert world.service.run_month(OCTOBER).sent == 1
    yield world


def work(world: World, at: str) -> tuple[list[str], list[tuple[str, str, object]]]:
    """The months that the job looked at, and what it logged of differences."""
    with freeze_time(at), capture_logs() as logged:
        months = Jobs(world.service, "one").reconcile()
    said = [(each["log_level"], each["event"], each["cause"]) for each in logged if "cause" in each]
    return [str(month) for month in months], said


def pay(world: World, sandbox: StripeSandbox) -> None:
    held = sandbox.state.invoices.rows[show_invoice(world.engine, "2026-10-000001").stripe_invoice_id or ""]
    held |= {"status": "paid", "amount_paid": 500, "amount_remaining": 0}


def test_a_lost_webhook_is_found_within_a_day(world: World, sandbox: StripeSandbox) -> None:
    assert work(world, "2026-11-03T03:40:00Z") == (["2026-10"], [])
    pay(world, sandbox)
    found = [("info", "difference fixed", "paid state differs")]
    assert work(world, "2026-11-04T03:40:00Z") == (["2026-10"], found)
    assert show_invoice(world.engine, "2026-10-000001").status == "paid"
    before = len(sandbox.log)
    assert work(world, "2026-11-05T03:40:00Z") == ([], [])
    assert len(sandbox.log) == before, "what is settled is not asked for any more"


def test_what_is_for_a_person_is_warned_of_each_day(world: World, sandbox: StripeSandbox) -> None:
    (held,) = sandbox.state.invoices.rows.values()
    held["total_excluding_tax"] = 700
    world.send(runs(1, prefix="late"))
    warned = [
        ("warning", "difference", "late events not yet adjusted"),
        ("warning", "difference", "total differs"),
    ]
    assert work(world, "2026-11-03T03:40:00Z") == (["2026-10"], warned)
    assert work(world, "2026-11-04T03:40:00Z") == (["2026-10"], warned)


def test_while_stripe_does_not_answer_nothing_is_lost(world: World, sandbox: StripeSandbox) -> None:
    pay(world, sandbox)
    down = [Fault("GET", "/v1/invoices", nth=1, kind=FaultKind.CLOSED_BEFORE_APPLYING)]
    sandbox.faults = FaultSchedule(down)
    assert work(world, "2026-11-03T03:40:00Z") == (["2026-10"], [])
    assert work(world, "2026-11-04T03:40:00Z")[1] == [("info", "difference fixed", "paid state differs")]


def test_old_months_are_left_alone(world: World) -> None:
    assert work(world, "2027-10-31T03:40:00Z")[0] == ["2026-10"]
    assert work(world, "2027-11-01T03:40:00Z")[0] == []


def test_without_stripe_there_is_nothing_to_find(world: World) -> None:
    world.service = replace(world.service, gateway=None)
    assert work(world, "2026-11-03T03:40:00Z") == ([], [])


def test_its_time_is_shown(world: World) -> None:
    work(world, "2026-11-03T03:40:00Z")
    with freeze_time("2026-11-03T04:00:00Z"):
        (shown,) = (each for each in schedule_data(world.service) if each["job"] == RECONCILE)
    assert (shown["next"], shown["done_through"]) == ("2026-11-04T03:40:00Z", "2026-11-03")
