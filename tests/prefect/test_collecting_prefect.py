"""Collecting from a real Prefect server: the meter ends equal to the server's own task runs, every outcome,
whatever was killed meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from billing.app import Service, make_service
from metering.clock import now_instant
from metering.period import DAY_US, MINUTE_US, SECOND_US, Month, format_instant
from metering.settings import Settings
from metering.usage import Run
from tests.faults.served import environment
from tests.prefect.running import FINAL, RunningPrefect

SEEDS = [int(each) for each in os.environ.get("BILLING_TEST_PREFECT_SEEDS", "1").split(",")]
BURST = 200
Ended = tuple[str, int]


class Collector:
    """`billing collect prefect`, in a process of its own with a database of its own."""

    def __init__(self, prefect: RunningPrefect, folder: Path) -> None:
        self.prefect = prefect
        self.began = now_instant()
        self.since = format_instant(self.began)
        self._folder = folder
        self._url = f"sqlite:///{folder / 'billing.db'}"
        self.service: Service = make_service(Settings(_env_file=None, database_url=self._url))
        self.service.init()

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "billing.cli", "collect", "prefect", "--api-url", self.prefect.url,
                   "--account", "acme", "--since", self.since, *more]  # fmt: skip
        return subprocess.Popen(
            command,
            env=environment(BILLING_DATABASE_URL=self._url),
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def once(self) -> dict[str, Any]:
        process = self.start("--once", "--json")
        out, said = process.communicate()
        assert process.returncode in (0, 1), said
        (visit,) = json.loads(out)
        assert visit["error"] is None, visit
        return visit

    def until_equal(self) -> list[dict[str, Any]]:
        """Collect until the meter has all that the server says ended; within minutes."""
        ends = now_instant() + 3 * MINUTE_US
        visits = [self.once()]
        while self.held() != self.truth() and now_instant() < ends:
            time.sleep(10)
            visits.append(self.once())
        return visits

    def held(self) -> dict[str, Ended]:
        return {run.task_run_id: (run.outcome.reason, run.duration_us) for run in self.runs()}

    def runs(self) -> list[Run]:
        now = now_instant()
        return list(self.service.store.runs("acme", self.began - DAY_US, now + DAY_US, 2**62))

    def truth(self) -> dict[str, Ended]:
        """What the server itself says of each task run that ended: its row; and where the row was left behind
        (a server that is killed may have kept the event and lost the row's last change), its event."""
        told = {
            event["resource"]["prefect.resource.id"].removeprefix("prefect.task-run."): said(
                event["resource"]["prefect.state-type"],
                event["resource"]["prefect.state-name"],
                event["payload"]["task_run"]["total_run_time"],
            )
            for event in self.prefect.final_events(self.since)
        }
        return told | self.recorded()

    def recorded(self) -> dict[str, Ended]:
        """By their rows alone."""
        return {
            row["id"]: said(row["state_type"], row["state_name"], row["total_run_time"])
            for row in self.prefect.rows(self.since)
            if row["state_type"] in FINAL
        }


def said(kind: str, name: str, seconds: float) -> Ended:
    """What a state comes to by docs/rules.md §2, with the duration in microseconds."""
    duration_us = round(seconds * SECOND_US)
    if kind != "COMPLETED":
        return kind.lower(), duration_us
    if name == "RolledBack":
        return "reversed", duration_us
    if duration_us > SECOND_US:
        return "billable", duration_us
    return ("cached" if name == "Cached" else "too_short"), duration_us


@pytest.fixture
def collector(prefect: RunningPrefect, tmp_path: Path) -> Collector:
    return Collector(prefect, tmp_path)


def test_one_of_everything(collector: Collector) -> None:
    """Retries, cache, rollback, names, time-outs, nested and mapped tasks, subflows, async tasks, a flow run
    that is started again, tasks outside of flows, and a process that is killed."""
    prefect = collector.prefect
    prefect.run_flow("kinds", 7)
    process = prefect.flow("never_ends")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    prefect.settle(collector.since)
    (visit, *_) = collector.until_equal()
    assert collector.held() == collector.truth()
    assert (visit["recovered"], visit["missing"]) == (0, 0)
    told = {row["id"]: (row["state_type"], row["state_name"]) for row in prefect.rows(collector.since)}
    outcomes = Counter((*told[each], outcome) for each, (outcome, _) in collector.held().items())
    assert outcomes == {
        ("COMPLETED", "Completed", "billable"): 9,
        ("COMPLETED", "Completed", "too_short"): 5,
        ("COMPLETED", "Cached", "cached"): 1,
        ("COMPLETED", "Skipped", "billable"): 1,
        ("COMPLETED", "Failed", "billable"): 1,
        ("COMPLETED", "Terminé à moitié", "billable"): 1,
        ("COMPLETED", "RolledBack", "reversed"): 2,
        ("FAILED", "Completed", "failed"): 1,
        ("FAILED", "Failed", "failed"): 5,
        ("FAILED", "TimedOut", "failed"): 1,
        ("CANCELLED", "Cancelled", "cancelled"): 1,
        ("CRASHED", "Crashed", "crashed"): 2,
    }
    assert [kind for kind, _ in told.values() if kind not in FINAL] == ["RUNNING"]  # of the killed process


@pytest.mark.parametrize("seed", SEEDS)
def test_a_burst_in_which_everything_is_killed(collector: Collector, seed: int) -> None:
    """The server in the middle of a burst that goes on; the server together with a burst's own process, so
    that nobody sends again what was lost; and the collector while it reads."""
    chance, prefect = random.Random(seed), collector.prefect
    collecting = collector.start("--every", "1")
    for goes_on in (True, False):
        burst = prefect.flow("burst", seed, BURST)
        assert burst.stdout is not None
        burst.stdout.readline()
        time.sleep(chance.uniform(0.5, 4))
        prefect.kill()
        if not goes_on:
            burst.kill()
        collecting.kill()
        collecting.communicate()
        prefect.start()
        collecting = collector.start("--every", "1")
        _, said = burst.communicate(timeout=180)
        assert not goes_on or burst.returncode == 0, said
    time.sleep(chance.uniform(0.5, 3))
    collecting.kill()
    collecting.communicate()
    prefect.settle(collector.since)
    visits = collector.until_equal()
    held, truth, recorded = collector.held(), collector.truth(), collector.recorded()
    with_events = {
        each["resource"]["prefect.resource.id"][17:] for each in prefect.final_events(collector.since)
    }
    figures = (
        f"seed {seed}: {len(truth)} task runs ended, {len(truth.keys() - with_events)} without an event, "
        f"{len(truth.keys() - recorded.keys())} without a final row; {len(visits)} visits"
    )
    print(figures)
    assert held == truth, figures
    assert len(truth) > BURST / 2
    usage = collector.service.store.usage("acme", Month(2020, 1).start, Month(2100, 1).start, by="month")
    assert usage.counts.total == len(truth)
