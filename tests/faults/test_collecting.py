"""Whatever happens between a Prefect server and us, each of its task runs is metered once, and no watermark
says more than is so."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from billing.app import make_service
from billing.collecting import Visit, visit
from billing.sources import add_source, find_source, list_sources, server_of
from metering.agreement import Ended
from metering.clock import now_instant
from metering.collecting.collector import Collected, Meter, collect
from metering.collecting.prefect_rows import read_row
from metering.collecting.prefect_server import PrefectServer
from metering.collecting.source import Source
from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US, format_instant, parse_instant
from metering.settings import Settings
from metering.sources.document import parse
from tests.conftest import NewDatabase
from tests.faults.killing import KillAt, Killed
from tests.faults.served import environment
from tests.metering.prefect_double import GONE, PrefectDouble, event, prefect_double, row
from tests.world import World

SEEDS = 40 if settings().max_examples <= 200 else 600
START = parse_instant("2026-10-03T00:00:00Z")
FAULTS = [
    (429, {"Retry-After": "90"}, b""),
    (429, {}, b""),
    (500, {}, b""),
    (503, {}, b"restarting"),
    (401, {}, b""),
    (GONE, {}, b""),
    (200, {}, b"<html>a proxy's page</html>"),
]
STATES = [("COMPLETED", "", 1.25), ("COMPLETED", "Cached", 0.01), ("COMPLETED", "", 0.5),
          ("FAILED", "TimedOut", 3.0), ("CANCELLED", "", 0.0), ("CRASHED", "", 2.0)]  # fmt: skip


class Story:
    """A server and its collector, through a schedule of faults drawn from a seed."""

    def __init__(self, seed: int, new_database: Callable[[], Any], double: PrefectDouble) -> None:
        self.chance = random.Random(seed)
        self.world = World(new_database(), now=START)
        self.double = double
        self.true_now = START
        # Our clock and the server's are both wrong, each by its own.
        self.ours = self.chance.choice([0, 0, 90 * SECOND_US, -90 * SECOND_US, HOUR_US, -HOUR_US])
        theirs = self.chance.choice([0, 0, 30 * SECOND_US, -30 * SECOND_US])
        double.clock = lambda: self.true_now + theirs
        self.numbers = iter(range(1, 10_000))
        address = server_of(double.url, workspace="w")
        add_source(self.world.engine, "acme", "eu", address, since=START - DAY_US, now=START)

    def pass_time(self, span_us: int) -> None:
        self.true_now += span_us
        self.world.instant = self.true_now + self.ours

    def some_runs_end(self) -> None:
        """By clients' clocks, which are wrong as well; late, in any order, row and event each for itself."""
        for _ in range(self.chance.choice([1, 3, 60])):
            number = next(self.numbers)
            ended = self.true_now - self.chance.choice(
                [0, SECOND_US, MINUTE_US, HOUR_US, 30 * HOUR_US, 9 * DAY_US]
            )
            ended = max(ended - self.chance.randrange(10 * SECOND_US), START - DAY_US)
            state, name, seconds = self.chance.choice(STATES)
            given = {"state": state, "name": name, "seconds": seconds, "end": format_instant(ended)}
            arrives = self.double.clock() + self.chance.choice([0, 0, SECOND_US, 20 * MINUTE_US])
            self.double.rows.append(row(number, **given) | {"arrives": arrives})
            arrives += self.chance.choice([0, 0, 0, 2 * SECOND_US, 5 * MINUTE_US])
            if self.chance.random() < 0.95:  # else the server was killed after the row, and before the event
                self.double.events.append(event(number, **given) | {"arrives": arrives})
            if self.chance.random() < 0.1:
                self.double.rows.append(row(next(self.numbers), **given, subflow="child"))
            if state == "COMPLETED" and not name and self.chance.random() < 0.2:
                self._roll_back(number, given, ended, arrives)

    def a_transaction_fails(self) -> None:
        """Of a task run that was completed long ago, perhaps; its event is lost."""
        done = [each for each in self.double.rows if each["state_name"] == "Completed"]
        if done:
            held = self.chance.choice(done)
            state = {**held["state"], "name": "RolledBack", "timestamp": format_instant(self.double.clock())}
            self.double.rows[self.double.rows.index(held)] = {
                **held,
                "state": state,
                "state_name": "RolledBack",
                "updated": format_instant(self.double.clock()),
                "arrives": max(held.get("arrives", 0), self.double.clock()),
            }

    def _roll_back(self, number: int, given: dict[str, Any], ended: int, arrives: int) -> None:
        given = {**given, "name": "RolledBack"}
        later = format_instant(ended + 3 * SECOND_US)
        self.double.rows[:] = [
            each for each in self.double.rows if each["id"] != row(number, **given)["id"]
        ] + [row(number, **given) | {"arrives": arrives}]
        self.double.rows[-1]["state"]["timestamp"] = later
        second = event(number, **given) | {"arrives": arrives, "occurred": later}
        self.double.events.append(second)

    def something_fails(self) -> None:
        for _ in range(self.chance.choice([1, 1, 2, 5])):
            self.double.answers.append(self.chance.choice(FAULTS))

    def visit(self, *, kill: int | None = None) -> Visit | None:
        """None if the process ended in the middle of it."""
        source = find_source(self.world.engine, "eu")
        killer = KillAt(kill) if kill is not None else None
        turns = self.chance.choice([None, None, 1, 3])
        pages = iter(range(10_000))
        if killer is not None:
            killer.listen(self.world.engine)
        try:
            return visit(
                self.world.service,
                source,
                always_check=self.chance.random() < 0.5,
                stop=lambda: turns is not None and next(pages) >= turns,
                attempts=self.chance.choice([1, 2, 3]),
                wait=lambda seconds: self.pass_time(int(seconds * SECOND_US)),
            )
        except Killed:
            return None
        finally:
            if killer is not None:
                killer.forget(self.world.engine)

    def truth(self, at: int) -> dict[str, Ended]:
        """What the server says ran, of what it had at an instant of its clock."""
        there = [each for each in self.double.rows if each.get("arrives", 0) <= at]
        read = [read_row(each) for each in parse(json.dumps(there).encode())]
        return {each.task_run_id: each.run for each in read if each.run is not None}

    def assert_watermark_is_true(self) -> None:
        source: Source = find_source(self.world.engine, "eu")
        if source.claim is None:
            return
        # When it was looked at, by the server's clock.
        looked_at = source.claim.checked_at - self.ours + (self.double.clock() - self.true_now)
        truth = self.truth(looked_at)
        held = self.world.store.held("acme", list(truth))
        ended = {each for each, run in truth.items() if run.ended_at < source.claim.complete_to}
        assert ended <= held.keys()
        assert all(held[each] >= truth[each].outcome for each in ended)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_run_is_metered_once_after_any_schedule_of_faults(
    seed: int, sqlite_databases: NewDatabase
) -> None:
    with prefect_double() as double, structlog.testing.capture_logs():
        story = Story(seed, sqlite_databases, double)
        for _ in range(story.chance.randrange(5, 25)):
            story.pass_time(story.chance.choice([SECOND_US, MINUTE_US, 10 * MINUTE_US, HOUR_US, DAY_US]))
            story.some_runs_end()
            if story.chance.random() < 0.3:
                story.a_transaction_fails()
            if story.chance.random() < 0.4:
                story.something_fails()
            if story.chance.random() < 0.8:
                story.visit(kill=story.chance.choice([None, None, story.chance.randrange(1, 20)]))
                story.assert_watermark_is_true()
        # All is well again.
        double.answers.clear()
        story.pass_time(2 * DAY_US)
        source = find_source(story.world.engine, "eu")
        done = visit(story.world.service, source, always_check=True, wait=lambda seconds: None)
        assert (done.error, done.source.missing, done.source.lost) == (None, 0, None)
        truth = story.truth(double.clock())
        held = story.world.store.runs("acme", START - DAY_US, story.true_now, 2**62)
        metered = [(run.task_run_id, run.outcome) for run in held]
        assert Counter(metered) == Counter((each.task_run_id, each.outcome) for each in truth.values())
        usage = story.world.store.usage("acme", (START - DAY_US), START + 400 * DAY_US, by="month")
        assert usage.counts.by_outcome == Counter(each.outcome for each in truth.values())
        assert done.source.claim is not None
        assert done.source.claim.runs == len(truth)
        story.assert_watermark_is_true()


def test_a_process_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Really killed, in the middle of collecting, and started again."""
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    service = make_service(Settings(_env_file=None, database_url=url))
    service.init()
    with prefect_double() as double:
        double.clock = now_instant
        began = now_instant() - 5 * HOUR_US
        for number in range(1500):
            double.finish(number, end=format_instant(began + number * 10 * SECOND_US))
        command = [sys.executable, "-m", "billing.cli", "collect", "prefect", "--api-url", double.url,
                   "--account", "acme", "--since", format_instant(began - HOUR_US)]  # fmt: skip
        chance = random.Random(9)
        for kills in range(3):
            process = subprocess.Popen(
                command,
                env=environment(BILLING_DATABASE_URL=url),
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            pages = len(double.asked) + chance.randrange(3, 9)
            while len(double.asked) < pages:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            (source,) = list_sources(service.engine)
            assert source.reading is not None
            assert kills == 0 or source.reading.read_to is not None
        before = len(double.asked)
        done = subprocess.run(
            [*command, "--once"],
            env=environment(BILLING_DATABASE_URL=url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        asked = [each["filter"]["occurred"]["since"] for each in double.asked[before:] if "filter" in each]
        # Not from the beginning: what was kept is not asked for again.
        with suppress(IndexError):
            assert parse_instant(asked[1]) > began
    usage = service.store.usage("acme", 0, 2**52 // HOUR_US * HOUR_US, by="month")
    assert usage.counts.billable == 1500
    service.store.close()


def test_progress_is_never_stored_before_what_it_stands_for(sqlite_databases: NewDatabase) -> None:
    """The process ends at each step of one pass over ten hours, in which nothing is read twice by design; the
    pass alone, without the look at what is missing, brings everything."""
    with prefect_double() as double:
        double.clock = lambda: START
        for number in range(120):
            double.finish(number, end=format_instant(START - 10 * HOUR_US + number * 5 * MINUTE_US))
        step, reached = 0, True
        while reached:
            step += 1
            world = World(sqlite_databases(), now=START)
            address = server_of(double.url)
            add_source(world.engine, "acme", "eu", address, since=START - DAY_US, now=START)
            meter = Meter(world.engine, world.store, lambda: START)
            kill = KillAt(step)
            kill.listen(world.engine)
            with suppress(Killed), PrefectServer(double.url) as server:
                collect(meter, find_source(world.engine, "eu"), server, Collected())
            reached = kill.reached
            kill.forget(world.engine)
            with PrefectServer(double.url) as server:
                collect(meter, find_source(world.engine, "eu"), server, Collected())
            held = world.store.usage("acme", START - DAY_US, START + DAY_US, by="month").counts.billable
            assert held == 120, f"ended at step {step}"
        assert step > 3
