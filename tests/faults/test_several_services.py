"""Several services, each a process of its own, take events into one database: clients send every batch
to more than one of them at the same time. Each event is accepted exactly once, by whichever was first."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

from billing.app import make_service
from metering.event import TaskRunEvent
from metering.period import format_instant
from metering.run_list import month_usage
from metering.settings import Settings
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import event
from tests.test_readme import ROOT
from tests.world import NOVEMBER_2, OCTOBER

SERVICES = 3
CLIENTS = 6
ACCOUNTS = ("account-0", "account-1", "account-2")


def _events() -> list[TaskRunEvent]:
    """Runs of which every third has several, differing events; the ids are UUIDs and others."""
    chance = random.Random(4)
    events = []
    for number in range(1200):
        run = f"0192d3a4-5b6c-7d8e-9f00-{number:012x}" if number % 2 else f"run-{number}"
        for state in ("COMPLETED", "FAILED", "ROLLED_BACK")[: chance.choice([1, 1, 3])]:
            events.append(
                event(
                    run,
                    account=chance.choice(ACCOUNTS),
                    state=state,
                    end=f"2026-10-{chance.randrange(1, 4):02d}T{chance.randrange(3):02d}:00:05Z",
                    flow=f"flow-{chance.randrange(3)}",
                )
            )
    return events


def _wire(each: TaskRunEvent) -> dict[str, str]:
    return {
        "account": each.account,
        "task_run_id": each.task_run_id,
        "state": each.state,
        "started_at": format_instant(each.started_at),
        "ended_at": format_instant(each.ended_at),
        "flow": each.flow,
    }


def _serve(url: str, folder: Path, stack: ExitStack) -> int:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "billing.cli", "serve", "--port", "0"],
        env={**inherited, "PYTHONPATH": str(ROOT), "BILLING_DATABASE_URL": url},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    stack.callback(process.stderr.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    address = re.search(r"http://127.0.0.1:(\d+)", process.stderr.readline())
    assert address is not None
    return int(address[1])


def test_each_event_is_accepted_by_one_of_several_services(new_database: NewDatabase, tmp_path: Path) -> None:
    events = _events()
    reference = SqlEventStore(new_database())
    reference.append(events, NOVEMBER_2)
    engine = new_database()
    url = engine.url.render_as_string(hide_password=False)
    service = make_service(Settings(_env_file=None, database_url=url))
    first_key = service.init()
    assert first_key is not None
    headers = {"Authorization": f"Bearer {first_key.secret}", "Content-Type": "application/json"}
    together = Barrier(CLIENTS)

    def client(number: int) -> dict[str, Any]:
        """Sends everything, in an order and batches of its own, to one service."""
        chance = random.Random(number)
        mine = [_wire(each) for each in events]
        chance.shuffle(mine)
        totals = dict.fromkeys(("received", "accepted", "duplicate"), 0)
        connection = http.client.HTTPConnection("127.0.0.1", ports[number % SERVICES], timeout=120)
        together.wait()
        for start in range(0, len(mine), 90):
            connection.request("POST", "/v1/events", json.dumps(mine[start : start + 90]), headers)
            response = connection.getresponse()
            report = json.loads(response.read())
            assert response.status == 200, report
            for name in totals:
                totals[name] += report[name]
        connection.close()
        return totals

    with ExitStack() as stack:
        ports = [_serve(url, tmp_path, stack) for _ in range(SERVICES)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(client, range(CLIENTS)))
    assert sum(each["accepted"] for each in answers) == len(events)
    assert sum(each["duplicate"] for each in answers) == (CLIENTS - 1) * len(events)
    store = SqlEventStore(engine)
    for account in ACCOUNTS:
        counted = store.usage(account, OCTOBER.start, OCTOBER.end, by="hour", group_by="flow")
        assert counted == reference.usage(account, OCTOBER.start, OCTOBER.end, by="hour", group_by="flow")
        runs = list(store.runs(account, OCTOBER.start, OCTOBER.end, store.cutoff().position))
        wanted = reference.runs(account, OCTOBER.start, OCTOBER.end, reference.cutoff().position)
        assert runs == list(wanted)
        assert month_usage(runs).counts == counted.counts
    service.store.close()
