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
from metering.agreement import Ended
from metering.clock import now_instant
from metering.collecting.prefect_rows import read_row
from metering.period import DAY_US, MINUTE_US, SECOND_US, format_instant
from metering.settings import Settings
from metering.sources.document import parse
from metering.usage import Run
from tests.faults.test_kill_nine import _environment as environment
from tests.prefect.running import RunningPrefect

SEEDS = [int(each) for each in os.environ.get("BILLING_TEST_PREFECT_SEEDS", "1").split(",")]
BURST = 200
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


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
        ends = now_instant() + 4 * MINUTE_US
        visits = [self.once()]
        while self.held() != self.truth() and now_instant() < ends:
            time.sleep(5)
            visits.append(self.once())
        return visits

    def held(self) -> dict[str, tuple[str, int]]:
        return {run.task_run_id: (run.outcome.reason, run.duration_us) for run in self.runs()}

    def runs(self) -> list[Run]:
        now = now_instant()
        return list(self.service.store.runs("acme", self.began - DAY_US, now + DAY_US, 2**62))

    def truth(self) -> dict[str, tuple[str, int]]:
        """Each task run that ended by the server's own row: its outcome and duration."""
        rows = parse(json.dumps(self.prefect.rows(self.since)).encode())
        ended = {row["id"]: (row, read_row(row).run) for row in rows if row["end_time"] is not None}
        return {
            name: (run.outcome.reason, round(float(row["total_run_time"].text) * SECOND_US))
            for name, (row, run) in ended.items()
            if isinstance(run, Ended)
        }


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
    held, truth = collector.held(), collector.truth()
    lost = truth.keys() - prefect.with_final_event(collector.since)
    print(f"seed {seed}: {len(truth)} task runs, {len(lost)} without events, {len(visits)} visits")
    assert held == truth
    assert len(truth) > BURST
    usage = collector.service.store.usage("acme", 0, 2**52 // (3600 * SECOND_US) * 3600 * SECOND_US)
    assert usage.counts.total == len(truth)
