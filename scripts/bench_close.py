"""Measures closing a month on this machine: task runs of many accounts become numbered invoices, in a fresh
SQLite (or PostgreSQL), without Stripe. Prints invoices and task runs a second, processor time, and memory.
What was billed is compared with what was generated, and some invoices are computed again: a fast wrong answer
is a failure.

    scripts/bench --close 10000 [--months 2] [--runs 500] [--database-url URL]

With more months, each is closed in turn: the later ones look for what the earlier ones have to be adjusted
for.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bench_accounts import VERSION, write_accounts
from bench_load import Ints
from bench_places import database

from billing.app import Service, make_service
from billing.pricing.terms import Enrolment
from billing.reporting.proof import verify
from billing.run_report import RunReport
from metering.outcome import Outcome, classify
from metering.period import DAY_US, Month
from metering.settings import Settings
from metering.store.batch import Columns
from metering.store.run_key import BUCKET_SHIFT, UUID_BYTES

FIRST = Month.parse("2026-01")
COMMIT = 100_000
FLOWS = 3
# What runs say of themselves, how often, and how long they take.
STATES = np.array(["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
SHARES = [0.90, 0.07, 0.02, 0.01]
DURATIONS = np.array([400_000, 2_500_000, 4_250_000, 61_000_000])
VERIFIED = 20
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def generate(month: Month, accounts: int, runs: int, truth: Ints) -> Iterator[Columns]:
    """Task runs of a month in commits, accounts mixed; `truth` counts the billable ones, by account number.
    One run in a hundred failed first and is said so again later."""
    chance = np.random.default_rng([month.year, month.number])
    quantity = accounts * runs
    gap = (month.end - month.start) // quantity
    names = [account_name(number) for number in range(accounts)]
    for first in range(0, quantity, COMMIT):
        numbers = np.arange(first, min(first + COMMIT, quantity))
        some = len(numbers)
        account, flow = chance.integers(0, accounts, some), chance.integers(0, FLOWS, some)
        ended_at, duration = month.start + numbers * gap, chance.choice(DURATIONS, some)
        high = ((ended_at - duration) // 1000 << 16) | 0x7000 | chance.integers(0, 1 << 12, some)
        low = chance.integers(-(1 << 63), -(1 << 62), some)
        state = chance.choice(len(STATES), some, p=SHARES)
        outcome = outcomes(state, duration)
        np.add.at(truth, account[outcome == Outcome.BILLABLE], 1)
        # Those that failed first say so in the place before.
        twice = (state == 0) & (numbers % 100 == 0)
        at = np.repeat(np.arange(some), 1 + twice)
        is_first = np.append(at[:-1] == at[1:], False)
        known, place = np.unique((account * FLOWS + flow)[at], return_inverse=True)
        yield Columns(
            [(names[each // FLOWS], "prod", f"flow-{each % FLOWS}", "prefect") for each in known.tolist()],
            place,
            np.column_stack([high[at], low[at]]).astype(">i8").view(np.uint8).reshape(-1, UUID_BYTES),
            [],
            high[at] >> 32 + BUCKET_SHIFT,
            np.where(is_first, int(Outcome.FAILED), outcome[at]),
            ended_at[at],
            duration[at],
            np.where(is_first, ~low[at], low[at]),
        )


def outcomes(state: Ints, duration: Ints) -> Ints:
    """What the events say, by the rules."""
    said = np.array([[int(classify(each, us) or 0) for us in DURATIONS.tolist()] for each in STATES.tolist()])
    return said[state, np.searchsorted(DURATIONS, duration)]


def account_name(number: int) -> str:
    return f"account-{number:06d}"


def prepare(service: Service, accounts: int) -> None:
    service.init()
    agreed = (
        (account_name(number), [Enrolment(FIRST, ("starter", "standard")[number % 2], VERSION)])
        for number in range(accounts)
    )
    write_accounts(service.engine, agreed, FIRST)


def close(service: Service, month: Month, truth: Ints, runs: int) -> dict[str, float]:
    """Run the month, print what it took, and compare. Invoices a second, and of the floor: the counts and
    digests of the same accounts, by one process, and nothing else."""
    began = time.perf_counter()
    ids = service.store.accounts_in(month.start, month.end)
    cutoff = service.store.cutoff().position
    read = sum(
        usage.counts.total for _, usage in service.store.month_usages(ids, month.start, month.end, cutoff)
    )
    floor = len(ids) / (time.perf_counter() - began)
    assert read == runs, f"{read} read where {runs} are held"
    before, began = processor(), time.perf_counter()
    report = service.run_month(month, send=False)
    seconds, cpu = time.perf_counter() - began, processor() - before
    here, there = (resource.getrusage(who).ru_maxrss / 1024 for who in WHO)
    check(service, report, truth)
    print(
        f"  {month}: {report.finalized:,} invoices of {runs:,} task runs in {seconds:.1f} s:"
        f" {report.finalized / seconds:,.0f} invoices/s, {runs / seconds:,.0f} task runs/s,"
        f" {1000 * cpu / report.finalized:.2f} ms of processor an invoice;"
        f" memory at most {here:,.0f} MB, and {there:,.0f} MB in a process that reads; the floor"
        f" {floor:,.0f} accounts/s"
    )
    return {"close": report.finalized / seconds, "close_floor": floor, "close_mb": max(here, there)}


def processor() -> float:
    """Seconds of this process, and of those that it started and that have ended."""
    return sum(each.ru_utime + each.ru_stime for each in map(resource.getrusage, WHO))


def check(service: Service, report: RunReport, truth: Ints) -> None:
    """Each account has one invoice of what it ran, the numbers have no gap, and some are verified."""
    billed = {each.account: each.billable for each in report.invoices}
    assert (report.failed, report.unassigned) == ([], [])
    told = {account_name(number): quantity for number, quantity in enumerate(truth.tolist())}
    assert billed == told, "runs lost or invented"
    assert report.finalized == len(billed)
    numbers = sorted(each.number or "" for each in report.invoices)
    assert numbers == [f"{report.month}-{place:06d}" for place in range(1, len(numbers) + 1)], "gaps"
    for number in random.Random(1).sample(numbers, min(VERIFIED, len(numbers))):
        found = verify(service.engine, service.store, number)
        assert found.ok, found.to_data()


def measure(url: str, accounts: int, runs: int, months: int) -> list[dict[str, float]]:
    """The figures of each month."""
    figures = []
    clock = {"now": FIRST.start}
    service = make_service(Settings(_env_file=None, database_url=url), lambda: clock["now"])
    prepare(service, accounts)
    month = FIRST
    for _ in range(months):
        began = time.perf_counter()
        truth = np.zeros(accounts, dtype=np.int64)
        for columns in generate(month, accounts, runs, truth):
            service.store.append_prepared([columns], month.end)
            service.store.settle(if_much=True)
        print(f"  {month}: filled in {time.perf_counter() - began:.0f} s", flush=True)
        clock["now"] = month.end + 2 * DAY_US
        figures.append(close(service, month, truth, accounts * runs))
        month = month.next()
    service.store.close()
    return figures


def rounds(options: argparse.Namespace, folder: Path) -> list[list[dict[str, float]]]:
    """The figures of each month, of each round in a database of its own."""
    print(f"{options.close:,} accounts, {options.runs:,} task runs a month each")
    found = []
    for number in range(options.rounds):
        with database(options.database_url, folder, f"close_{number}") as url:
            found.append(measure(url, options.close, options.runs, options.months))
    return found


def report_close(found: list[list[dict[str, float]]]) -> dict[str, float]:
    """Print and answer the medians, by figure and month."""
    medians = {
        f"{name}_{month}": statistics.median(each[month - 1][name] for each in found)
        for month in range(1, len(found[0]) + 1)
        for name in found[0][0]
    }
    for month in range(1, len(found[0]) + 1):
        figure, floor = medians[f"close_{month}"], medians[f"close_floor_{month}"]
        print(
            f"  month {month}: {figure:,.0f} invoices/s, {figure / floor:.2f} of reading alone,"
            f" {medians[f'close_mb_{month}']:,.0f} MB; median of {len(found)}"
        )
    return medians
