"""Billing on the orchestrator: examples/prefect as a real flow, against the real service."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass

import httpx
import pytest

from billing.access import create_key
from billing.collecting import visit
from billing.invoices import each_invoice
from billing.sources import add_source, declare, find_source, server_of
from metering.clock import now_instant
from metering.period import DAY_US, HOUR_US, MINUTE_US, Month, format_instant
from tests.conftest import NewDatabase
from tests.events import event
from tests.metering.client.service import served
from tests.prefect.running import RunningPrefect
from tests.test_readme import ROOT
from tests.world import World

FOLDER = ROOT / "examples" / "prefect"
# Retries as they are, without the minutes between them.
CODE = """
import json, sys
import close_month as it
for each in (it.collect, it.check_complete, it.reconcile, it.bill, it.report):
    each.retry_delay_seconds = 0
print(json.dumps(it.close_month(**json.loads(sys.argv[1]))))
"""


@dataclass
class Office:
    """The service, a month that is over, and the Prefect server that closes it: a source of `self`."""

    world: World
    prefect: RunningPrefect
    month: Month

    def close(self, **given: object) -> subprocess.CompletedProcess[str]:
        key = create_key(self.world.engine, "admin", None, self.world.instant).secret
        told = json.dumps({"month": str(self.month), **given})
        with served(self.world) as (url, _):
            return subprocess.run(
                [self.prefect.python, "-c", CODE, told],
                env={**self.prefect.env, "BILLING_URL": url, "BILLING_KEY": key},
                cwd=FOLDER,
                capture_output=True,
                text=True,
                check=False,
            )

    def statuses(self) -> list[str]:
        return [each.status for each in each_invoice(self.world.engine, month=self.month)]


@pytest.fixture
def office(prefect: RunningPrefect, sqlite_databases: NewDatabase) -> Office:
    now = now_instant()
    # The one before the last: its days of grace are over on any day.
    month = Month.of(Month.of(now).start - 40 * DAY_US)
    world = World(sqlite_databases(), now=now)
    for account in ("acme", "self"):
        world.account(account, since=str(month))
    noon = format_instant(month.start + 12 * HOUR_US)
    world.send([event("one", end=noon), event("two", end=noon, state="FAILED"),
                event("three", end=noon, account="stranger")])  # fmt: skip
    address = server_of(prefect.url)
    add_source(world.engine, "self", "orchestrator", address, since=month.start, now=now)
    return Office(world, prefect, month)


def test_a_month_is_closed_by_a_flow_whose_own_runs_are_metered(office: Office) -> None:
    began = now_instant()
    done = office.close()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (invoice,) = told["invoices"]
    assert (invoice["account"], invoice["billable"], invoice["not_billed"]["failed"]) == ("acme", 1, 1)
    assert told["unassigned"] == [{"account": "stranger", "billable": 1}]
    assert (told["incomplete"], told["failed"]) == ([], [])
    assert office.statuses() == ["paid"]  # it comes to nothing: the free runs
    asked = {"artifacts": {"key": {"any_": [f"closing-{office.month}"]}}}
    (artifact, *_) = httpx.post(f"{office.prefect.url}/api/artifacts/filter", json=asked).json()
    assert "| acme |" in artifact["data"] and "**Unassigned:** stranger has 1 billable" in artifact["data"]
    # A second closing finds it done.
    assert json.loads(office.close().stdout)["invoices"] == told["invoices"]
    assert office.statuses() == ["paid"]
    # The runs of the flow itself, collected from the server that ran it.
    office.prefect.settle(format_instant(began))
    world = office.world
    while now_instant() - began < 3 * MINUTE_US:
        world.instant = now_instant()
        visit(world.service, find_source(world.engine, "orchestrator"), always_check=True)
        runs = list(world.store.runs("self", began, now_instant() + DAY_US, 2**62))
        if len(runs) == 2 * 6:
            break
        time.sleep(3)
    assert {run.flow for run in runs} == {"close-month"}
    usage = world.store.usage("self", Month(2020, 1).start, Month(2100, 1).start, by="month")
    assert usage.counts.total == 12


def test_a_difference_stops_it_before_anything_is_billed(office: Office) -> None:
    """The meter has a run of the server's that the server does not."""
    stray = event("stray", end=format_instant(office.month.start + HOUR_US), account="self", source="prefect")
    office.world.send([stray])
    done = office.close()
    assert done.returncode != 0
    assert "self, source-meter: the meter holds 1 task run (billable)" in done.stderr
    assert office.statuses() == []


def test_it_waits_for_a_source_that_is_not_complete(office: Office) -> None:
    world, end = office.world, office.month.end
    declare(world.engine, world.store, "acme", "airflow", complete_to=end - DAY_US, now=world.instant)
    done = office.close()
    assert done.returncode != 0
    assert "airflow of acme is complete to" in done.stderr
    assert office.statuses() == []
    drafts = office.close(drafts=True, bill_incomplete=True)
    assert drafts.returncode == 0, drafts.stderr
    assert office.statuses() == ["draft"]


def test_a_month_that_is_not_over_is_refused_in_a_sentence(office: Office) -> None:
    office.month = Month.of(office.world.instant).next()
    done = office.close(bill_incomplete=True)
    assert done.returncode != 0
    assert "Refused: POST /v1/billing-runs: " in done.stderr
