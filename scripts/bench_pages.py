"""Measures the customer's pages on this machine: how long the server takes for each, for the largest account
of an installation that holds many task runs.

    scripts/bench --pages [--held 10000000] [--database-url URL]

The account has a year of its own beside what is held: task runs every day, in many flows of several
workspaces, and an invoice a month, so that every figure of its pages has something to be made of.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from bench_held import hold
from bench_load import account_name
from bench_places import database, serving

from billing.accounts import add_account
from billing.app import Service, make_service
from billing.links import create_link
from metering import clock
from metering.event import TaskRunEvent
from metering.period import DAY_US, HOUR_US, Month, day_of, day_start
from metering.settings import Settings

DAYS, FLOWS, WORKSPACES = 400, 60, 4
REQUESTS = 60
COMMIT = 20_000
# What is asked for, with the day and the month before.
PLACES = {
    "first page": "",
    "usage, a day": "usage?day={day}",
    "usage, a month": "usage?month={month}",
    "usage, a year": "usage?year={year}",
}


def uuid7(milliseconds: int, chance: random.Random) -> str:
    """An id as Prefect gives: the time of creation in front."""
    digits = f"{milliseconds:012x}7{chance.getrandbits(12):03x}8{chance.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def year_of(account: str, runs: int, now: int) -> Iterator[list[TaskRunEvent]]:
    """So many task runs over the days until now, in commits."""
    chance = random.Random(1)
    first = day_start(day_of(now)) - DAYS * DAY_US
    batch = []
    for number in range(runs):
        end = first + number * (now - HOUR_US - first) // runs
        state = chance.choice(["COMPLETED"] * 9 + ["FAILED"])
        flow = min(int(chance.expovariate(0.1)), FLOWS - 1)
        labels = (f"workspace-{flow % WORKSPACES}", f"flow-{flow}")
        run = uuid7((end - 2_500_000) // 1000, chance)
        batch.append(TaskRunEvent(account, run, state, end - 2_500_000, end, 2_500_000, *labels))
        if len(batch) == COMMIT:
            yield batch
            batch = []
    yield batch


def prepare(service: Service, account: str, options: argparse.Namespace) -> None:
    """Hold what is to be held, and bill the account's months."""
    service.init()
    now = clock.now_instant()
    hold(service.engine, options.held, options.seed)
    for batch in year_of(account, options.events, now):
        service.store.append(batch, now)
    month = Month.of(now - (DAYS - 31) * DAY_US)
    add_account(service.engine, account, now=now, currency="USD", plan="starter", billing_from=month)
    while month < Month.of(now - 2 * DAY_US):
        service.run_month(month, account=account, send=False)
        month = month.next()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Milliseconds at the median and at p95 of each page, and how large it is."""
    figures: dict[str, float] = {}
    account = account_name(0)
    with database(options.database_url, folder, "pages") as url:
        service = make_service(Settings(_env_file=None, database_url=url))
        prepare(service, account, options)
        now = clock.now_instant()
        link = create_link(service.engine, account, now=now, hours=24)
        service.store.close()
        with serving(url) as (port, _process, _seconds):
            for name, place in PLACES.items():
                day = day_of(now - DAY_US)
                asked = place.format(day=day, month=f"{day:%Y-%m}", year=day.year)
                took = []
                for number in range(REQUESTS + 5):
                    start = time.perf_counter()
                    with urlopen(link.url(f"http://127.0.0.1:{port}") + asked) as answer:
                        size = len(answer.read())
                    if number >= 5:  # the first ones import what only pages need
                        took.append((time.perf_counter() - start) * 1000)
                took.sort()
                figures |= {
                    f"{name}: median ms": took[len(took) // 2],
                    f"{name}: p95 ms": took[len(took) * 95 // 100],
                    f"{name}: kB": size / 1000,
                }
    return figures


def report(figures: dict[str, float]) -> None:
    for name in PLACES:
        median, p95, size = (figures[f"{name}: {each}"] for each in ("median ms", "p95 ms", "kB"))
        print(f"  {name:16} {median:6.1f} ms at the median, {p95:6.1f} ms at p95, {size:5.1f} kB")
