"""A past month of task runs of several customers: synthetic, and the same every time.

Each run is made with an outcome in mind, and counted as such in `Truth`, apart from the code that classifies
events: the demo's tests compare the two.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from metering.period import DAY_US, HOUR_US, SECOND_US, Month, format_instant

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Customer:
    """Who runs what: about `runs` task runs a month; `plan` is None for one that billing does not know.
    `success` is the share of runs that are billable."""

    account: str
    name: str
    email: str
    plan: str | None
    runs: int
    success: float
    flows: tuple[tuple[str, str, tuple[str, ...]], ...]  # workspace, flow, tasks


CUSTOMERS = (
    Customer(
        "northwind-analytics",
        "Northwind Analytics",
        "billing@northwind-analytics.example",
        "starter",
        126_000,
        0.865,
        (
            ("prod", "nightly-warehouse-load", ("extract", "stage", "merge", "refresh-marts")),
            ("prod", "hourly-clickstream", ("read-topic", "sessionize", "write-parquet")),
            ("prod", "feature-store", ("compute-features", "publish")),
            ("staging", "nightly-warehouse-load", ("extract", "stage", "merge", "refresh-marts")),
        ),
    ),
    Customer(
        "halden-health",
        "Halden Health",
        "accounts@halden-health.example",
        "standard",
        44_000,
        0.83,
        (
            ("prod", "claims-intake", ("fetch", "validate", "deduplicate", "post")),
            ("prod", "cohort-report", ("query", "render", "deliver")),
        ),
    ),
    Customer(
        "brightwater-labs",
        "Brightwater Labs",
        "finance@brightwater-labs.example",
        "starter",
        21_000,
        0.78,
        (
            ("research", "train-models", ("prepare", "train", "evaluate")),
            ("research", "sensor-backfill", ("download", "clean", "store")),
        ),
    ),
    Customer(
        "pelican-robotics",
        "Pelican Robotics",
        "ops@pelican-robotics.example",
        "starter",
        9_400,
        0.74,
        (("default", "telemetry", ("collect", "compress", "archive")),),
    ),
    Customer(
        "tinkers-guild",
        "Tinkers' Guild",
        "hello@tinkers-guild.example",
        "developer",
        13_600,
        0.81,
        (("default", "price-watch", ("scrape", "compare", "alert")),),
    ),
    Customer(
        "orchard-school",
        "Orchard School",
        "",
        None,
        2_300,
        0.85,
        (("default", "attendance", ("collect", "summarise")),),
    ),
)

# The shares of what is not billed, among the runs that are not billable.
_NOT_BILLABLE = (
    ("too_short", 0.58),
    ("cached", 0.20),
    ("failed", 0.13),
    ("crashed", 0.04),
    ("cancelled", 0.035),
    ("reversed", 0.015),
)
# Shares of runs whose event is delivered twice, and of successes after a failed attempt that was told too.
_DELIVERED_TWICE = 0.004
_FAILED_BEFORE = 0.01

# Runs over the hours of a day (UTC): the night's batches, the morning's reports, a steady rest.
_HOURS = (5, 9, 14, 12, 7, 4, 3, 4, 5, 5, 4, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 3)


@dataclass(slots=True)
class Truth:
    """What a month comes to: task runs by account and outcome, and what became of the events."""

    runs: dict[str, Counter[str]] = field(default_factory=dict)
    events: int = 0
    duplicate: int = 0


def write_month(month: Month, truth: Truth) -> Iterator[bytes]:
    """The month's events, one a line in the native format, in pieces; counts them in `truth`."""
    for number, customer in enumerate(CUSTOMERS):
        counted = truth.runs[customer.account] = Counter()
        generator = _Generator(month, customer, random.Random(f"{month} {number}"), truth)  # noqa: S311
        for day_start in range(month.start, month.end, DAY_US):
            yield b"".join(generator.day(day_start, counted))


def write_days(month: Month, until: int, account: str, truth: Truth) -> Iterator[bytes]:
    """The same of one customer and of the days of a month that are over at an instant."""
    number, customer = next(each for each in enumerate(CUSTOMERS) if each[1].account == account)
    counted = truth.runs[account] = Counter()
    generator = _Generator(month, customer, random.Random(f"{month} {number}"), truth)  # noqa: S311
    for day_start in range(month.start, until - DAY_US + 1, DAY_US):
        yield b"".join(generator.day(day_start, counted))


class _Generator:
    def __init__(self, month: Month, customer: Customer, chance: random.Random, truth: Truth) -> None:
        days = (month.end - month.start) // DAY_US
        self._customer = customer
        # Only random() is the same in every Python: choices are made from it here.
        self._next = chance.random
        self._truth = truth
        self._count = 0
        self._a_day = customer.runs / days
        self._owed = 0.0

    def day(self, start: int, counted: Counter[str]) -> Iterator[bytes]:
        weekend = (start // DAY_US + 4) % 7 in (0, 6)  # the epoch was a Thursday: 4
        self._owed += self._a_day * (0.72 if weekend else 1.12)
        for hour, share in enumerate(_HOURS):
            for _ in range(round(self._owed * share / sum(_HOURS))):
                ended_at = start + hour * HOUR_US + int(self._next() * HOUR_US)
                outcome = self._outcome()
                counted[outcome] += 1
                yield from self._run(ended_at, outcome)
        self._owed = 0.0

    def _run(self, ended_at: int, outcome: str) -> Iterator[bytes]:
        workspace, flow, tasks = self._pick(self._customer.flows)
        task = self._pick(tasks)
        self._count += 1
        # A UUID of version 7: sorts by time, as those of orchestrators do.
        stamp = f"{ended_at // 1000:012x}"
        unique = f"{int(self._next() * (1 << 48)):012x}"
        run_id = f"{stamp[:8]}-{stamp[8:]}-7{self._count % 4096:03x}-8{self._count // 4096:03x}-{unique}"
        duration_us = self._duration(outcome)

        def event(state: str, at: int, lasted_us: int) -> bytes:
            self._truth.events += 1
            return (
                f'{{"account":"{self._customer.account}","task_run_id":"{run_id}","state":"{state}",'
                f'"started_at":"{format_instant(at - lasted_us)}","ended_at":"{format_instant(at)}",'
                f'"duration":"{lasted_us // SECOND_US}.{lasted_us % SECOND_US:06d}",'
                f'"workspace":"{workspace}","flow":"{flow}","task":"{task}","source":"prefect"}}\n'
            ).encode()

        if outcome == "billable" and self._next() < _FAILED_BEFORE:
            # It failed, was started again by hand, and succeeded: one run, billed once.
            yield event("FAILED", ended_at - duration_us - SECOND_US, duration_us // 2)
        if outcome == "reversed":
            yield event("COMPLETED", ended_at - SECOND_US, duration_us)
        told = event(_STATES[outcome], ended_at, duration_us)
        yield told
        if self._next() < _DELIVERED_TWICE:
            self._truth.events += 1
            self._truth.duplicate += 1
            yield told

    def _outcome(self) -> str:
        if self._next() < self._customer.success:
            return "billable"
        place = self._next()
        for reason, share in _NOT_BILLABLE:
            place -= share
            if place < 0:
                return reason
        return "failed"

    def _duration(self, outcome: str) -> int:
        """In microseconds; long runs are rare, as they are."""
        if outcome == "too_short":
            return int(self._next() * SECOND_US)
        if outcome == "cached":
            return int(self._next() * SECOND_US / 20)
        return SECOND_US + 1 + int(self._next() ** 4 * 600 * SECOND_US)

    def _pick(self, options: tuple[T, ...]) -> T:
        return options[int(self._next() * len(options))]


_STATES = {
    "billable": "COMPLETED",
    "too_short": "COMPLETED",
    "cached": "CACHED",
    "failed": "FAILED",
    "crashed": "CRASHED",
    "cancelled": "CANCELLED",
    "reversed": "ROLLED_BACK",
}
