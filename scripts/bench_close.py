"""Measures closing a month on this machine: task runs of many accounts become numbered invoices, in a fresh
SQLite (or PostgreSQL), without Stripe. Prints invoices and task runs a second, processor time, and memory.
What was billed is compared with what was generated, and some invoices are computed again: a fast wrong answer
is a failure.

    PYTHONPATH=. .venv/bin/python scripts/bench_close.py [--accounts 2000] [--months 1] [--database-url URL]

With more months, each is closed in turn: the later ones look for what the earlier ones have to be adjusted
for.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from billing.accounts import add_account
from billing.app import Service, make_service
from billing.reporting.proof import verify
from billing.run_report import RunReport
from metering.event import TaskRunEvent
from metering.period import DAY_US, SECOND_US, Month
from metering.settings import Settings

FIRST = Month.parse("2026-01")
COMMIT = 20_000
# Of some hundred runs of each account: what they end with, and how long they take.
STATES = ["COMPLETED"] * 90 + ["FAILED"] * 7 + ["CRASHED"] * 2 + ["CANCELLED"]
DURATIONS = [400_000, 2_500_000, 4_250_000, 61_000_000]
VERIFIED = 20
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def uuid7(milliseconds: int, chance: random.Random) -> str:
    """An id as Prefect gives: the time of creation in front."""
    digits = f"{milliseconds:012x}7{chance.getrandbits(12):03x}8{chance.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def generate(month: Month, accounts: int, runs: int, truth: Counter[str]) -> Iterator[list[TaskRunEvent]]:
    """Task runs of a month in commits, accounts mixed; `truth` counts the billable ones. One run in a hundred
    failed first and is said so again later."""
    chance = random.Random(str(month))
    quantity = accounts * runs
    batch: list[TaskRunEvent] = []
    for number in range(quantity):
        account = f"account-{chance.randrange(accounts):06d}"
        end = month.start + number * (month.end - month.start) // quantity
        duration, state = chance.choice(DURATIONS), chance.choice(STATES)
        run = uuid7((end - duration) // 1000, chance)
        labels = ("prod", f"flow-{chance.randrange(3)}")
        if state == "COMPLETED" and number % 100 == 0:
            batch.append(TaskRunEvent(account, run, "FAILED", end - duration, end, duration, *labels))
        batch.append(TaskRunEvent(account, run, state, end - duration, end, duration, *labels))
        truth[account] += state == "COMPLETED" and duration > SECOND_US
        if len(batch) >= COMMIT:
            yield batch
            batch = []
    yield batch


def prepare(service: Service, accounts: int) -> None:
    service.init()
    for number in range(accounts):
        add_account(
            service.engine,
            f"account-{number:06d}",
            now=FIRST.start,
            currency="USD",
            plan=("starter", "standard")[number % 2],
            billing_from=FIRST,
        )


def close(service: Service, month: Month, truth: Counter[str], runs: int) -> None:
    """Run the month, print what it took, and compare."""
    before, began = processor(), time.perf_counter()
    report = service.run_month(month, send=False)
    seconds, cpu = time.perf_counter() - began, processor() - before
    here, there = (resource.getrusage(who).ru_maxrss / 1024 for who in WHO)
    check(service, report, truth)
    print(
        f"  {month}: {report.finalized:,} invoices of {runs:,} task runs in {seconds:.1f} s:"
        f" {report.finalized / seconds:,.0f} invoices/s, {runs / seconds:,.0f} task runs/s,"
        f" {1000 * cpu / report.finalized:.2f} ms of processor an invoice;"
        f" memory at most {here:,.0f} MB, and {there:,.0f} MB in a process that reads"
    )


def processor() -> float:
    """Seconds of this process, and of those that it started and that have ended."""
    return sum(each.ru_utime + each.ru_stime for each in map(resource.getrusage, WHO))


def check(service: Service, report: RunReport, truth: Counter[str]) -> None:
    """Each account has one invoice of what it ran, the numbers have no gap, and some are verified."""
    billed = {each.account: each.billable for each in report.invoices}
    assert (report.failed, report.unassigned) == ([], [])
    assert billed == dict(truth), "runs lost or invented"
    assert report.finalized == len(billed)
    numbers = sorted(each.number or "" for each in report.invoices)
    assert numbers == [f"{report.month}-{place:06d}" for place in range(1, len(numbers) + 1)], "gaps"
    for number in random.Random(1).sample(numbers, min(VERIFIED, len(numbers))):
        found = verify(service.engine, service.store, number)
        assert found.ok, found.to_data()


def measure(url: str, accounts: int, runs: int, months: int) -> None:
    clock = {"now": FIRST.start}
    service = make_service(Settings(_env_file=None, database_url=url), lambda: clock["now"])
    prepare(service, accounts)
    month = FIRST
    for _ in range(months):
        truth: Counter[str] = Counter()
        for batch in generate(month, accounts, runs, truth):
            service.store.append(batch, month.end)
        clock["now"] = month.end + 2 * DAY_US
        close(service, month, truth, accounts * runs)
        month = month.next()
    service.store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=500, help="of an account and month, on average")
    parser.add_argument("--months", type=int, default=1)
    parser.add_argument("--database-url", help="an empty database of a server; default: SQLite")
    options = parser.parse_args()
    print(f"{options.accounts:,} accounts, {options.runs:,} task runs a month each")
    with tempfile.TemporaryDirectory(prefix="billing-close-") as name:
        url = options.database_url or f"sqlite:///{Path(name) / 'close.db'}"
        measure(url, options.accounts, options.runs, options.months)


if __name__ == "__main__":
    main()
