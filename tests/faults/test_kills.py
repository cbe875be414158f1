"""A billing run killed at every step, and eight of them at once: one invoice an account, in ours and in
Stripe, to the cent."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import sqlalchemy as sa

from billing.app import Service
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import StripeSandbox, running_sandbox
from billing.plans import load_plan_text
from metering.database import make_engine
from metering.period import HOUR_US, SECOND_US
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import runs
from tests.faults.killing import KillAt, Killed, MortalGateway
from tests.settled import assert_settled
from tests.world import NOVEMBER_2, OCTOBER, World

ACCOUNTS = ["a", "b", "zero"]
TOTALS = {"a": 100, "b": 200, "zero": 0}
# Two runs are free, so that few events are enough.
PLAN = """{"plan": "dear", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": 2, "unit_price": "0"}, {"up_to": null, "unit_price": "1"}]}"""


def _month(engine: sa.Engine) -> World:
    world = World(engine)
    load_plan_text(engine, PLAN, "plan.json", NOVEMBER_2)
    for account in ACCOUNTS:
        world.account(account, plan="dear")
    world.send(runs(3, account="a"), runs(4, account="b"), runs(2, account="zero"))
    return world


def _service(engine: sa.Engine, gateway: Any) -> Service:
    return Service(World(engine).service.settings, engine, SqlEventStore(engine), lambda: NOVEMBER_2, gateway)


def test_a_kill_at_any_step_leaves_one_invoice(new_database: NewDatabase) -> None:
    """Steps: before each commit to the database, after it, before each call to Stripe, after it. Then the run
    is started again, as an operator would, after the claim of the dead process has lapsed."""
    step, reached = 0, True
    with running_sandbox(
        StripeSandbox(clock=lambda: NOVEMBER_2 // SECOND_US), deliver_webhooks=False
    ) as sandbox:
        while reached:  # until a run ends before its turn: then every step has been a kill
            step += 1
            sandbox.state.reset()
            engine = new_database()
            _month(engine)
            gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
            kill = KillAt(step)
            mortal = make_engine(engine.url.render_as_string(hide_password=False))
            service = _service(mortal, MortalGateway(gateway, kill))
            kill.listen(mortal)
            with contextlib.suppress(Killed):
                service.run_month(OCTOBER)
            mortal.dispose()
            later = Service(
                service.settings, engine, SqlEventStore(engine), lambda: NOVEMBER_2 + HOUR_US, gateway
            )
            later.run_month(OCTOBER)
            ours = assert_settled(engine, sandbox, ACCOUNTS)
            assert {invoice.account: invoice.total for invoice in ours} == TOTALS
            engine.dispose()
            reached = kill.reached
    assert step > 30


def test_eight_runs_at_once_leave_one_invoice(new_database: NewDatabase) -> None:
    with running_sandbox(StripeSandbox(clock=lambda: NOVEMBER_2 // SECOND_US), deliver_webhooks=False) as own:
        engine = new_database()
        _month(engine)
        url = engine.url.render_as_string(hide_password=False)
        reports: list[Any] = []
        errors: list[BaseException] = []
        gate = threading.Barrier(8)

        def run() -> None:
            mine = make_engine(url)
            service = _service(mine, StripeGateway(own.api_key, api_base=own.url))
            gate.wait()
            try:
                reports.append(service.run_month(OCTOBER))
            except BaseException as error:
                errors.append(error)
            mine.dispose()

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [report.failed for report in reports] == [[]] * 8
        assert sum(report.finalized for report in reports) == 3
        assert sum(report.sent for report in reports) == 2
        ours = assert_settled(engine, own, ACCOUNTS)
        assert {invoice.account: invoice.total for invoice in ours} == TOTALS
