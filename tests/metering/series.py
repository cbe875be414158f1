"""Made-up histories of accounts: task runs a day, of several kinds, from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random

Series = Callable[[Random, int], list[int]]


def by_day(series: Sequence[int], today: date) -> dict[date, int]:
    """The days before `today` that have runs."""
    return {today - timedelta(len(series) - number): runs for number, runs in enumerate(series) if runs}


def weekly(random: Random, days: int) -> list[int]:
    """Working days much the same, weekends quiet."""
    base, spread = random.choice([50, 500, 20_000]), random.uniform(0.05, 0.3)
    shape = [random.uniform(1, 1.3) for _ in range(5)] + [random.uniform(0.05, 0.5) for _ in range(2)]
    return [round(base * shape[day % 7] * _noise(random, spread)) for day in range(days)]


def trending(random: Random, days: int) -> list[int]:
    """Up or down by a little every day, and wandering."""
    base, spread = random.choice([100, 3_000]), random.uniform(0.05, 0.25)
    drift, level, found = random.uniform(-0.006, 0.015), 0.0, []
    for day in range(days):
        level += random.gauss(drift, 0.02)
        shape = (1, 1.1, 1.1, 1, 1, 0.5, 0.4)[day % 7]
        found.append(round(base * math.exp(level) * shape * _noise(random, spread)))
    return found


def bursty(random: Random, days: int) -> list[int]:
    """Now and then a day with many times the usual."""
    base, often = random.choice([100, 2_000]), random.uniform(0.03, 0.15)
    return [
        round(base * _noise(random, 0.3) * (random.uniform(4, 20) if random.random() < often else 1))
        for _ in range(days)
    ]


def sparse(random: Random, days: int) -> list[int]:
    """Most days have no run."""
    often, size = random.uniform(0.08, 0.4), random.choice([3, 40, 1_000])
    return [round(size * _noise(random, 0.5)) if random.random() < often else 0 for _ in range(days)]


def stepping(random: Random, days: int) -> list[int]:
    """Every month or two another level, by half or by double."""
    level, found = float(random.choice([200, 5_000])), []
    for day in range(days):
        if random.random() < 1 / 45:
            level *= random.choice([0.5, 0.7, 1.5, 2])
        found.append(round(level * (0.6 if day % 7 > 4 else 1) * _noise(random, 0.15)))
    return found


def monthly(random: Random, days: int) -> list[int]:
    """One large batch a month."""
    base, times, at = random.choice([300, 3_000]), random.uniform(5, 15), random.randrange(28)
    return [round(base * _noise(random, 0.2) * (times if day % 30 == at else 1)) for day in range(days)]


def usual(growth: float, shape: Sequence[float] = (1, 1.1, 1.1, 1, 0.95, 0.35, 0.25)) -> Series:
    """Days as they are in a week, with so much more from week to week, counted one by one."""

    def made(random: Random, days: int) -> list[int]:
        base, spread = random.choice([40, 500, 8_000]), random.uniform(0.05, 0.3)
        return [
            counted(random, base * (1 + growth) ** (day / 7) * shape[day % 7] * _noise(random, spread))
            for day in range(days)
        ]

    return made


def step(random: Random, days: int) -> list[int]:
    """One step, to less than half or to a multiple: in the past, or in what is to come."""
    made, at = usual(0)(random, days), random.randrange(10, days)
    times = random.choice([0.4, 0.5, 2, 3])
    return [round(runs * times) if day >= at else runs for day, runs in enumerate(made)]


def batch(random: Random, days: int) -> list[int]:
    """One batch a month, and nothing beside it."""
    at, size = random.randrange(30), random.choice([1_000, 20_000])
    return [round(size * _noise(random, 0.2)) if day % 30 == at else 0 for day in range(days)]


def few(random: Random, days: int) -> list[int]:
    """A few runs a day, by chance."""
    mean = random.uniform(0.5, 6)
    return [counted(random, mean * (0.3 if day % 7 > 4 else 1)) for day in range(days)]


def counted(random: Random, mean: float) -> int:
    """As many as come by chance where so many are usual."""
    if mean > 50:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    found, left = -1, 1.0
    while left > math.exp(-mean) or found < 0:
        left *= random.random()
        found += 1
    return found


KINDS: dict[str, Series] = {
    "flat": usual(0, (1,) * 7),
    "weekday": usual(0),
    "growth of 2 % a week": usual(0.02),
    "growth of 5 % a week": usual(0.05),
    "growth of 10 % a week": usual(0.10),
    "decline of 5 % a week": usual(-0.05),
    "decline of 10 % a week": usual(-0.10),
    "one step": step,
    "a few a day": few,
    "one batch a month": batch,
    "weekly": weekly,
    "trending": trending,
    "bursty": bursty,
    "sparse": sparse,
    "stepping": stepping,
    "monthly": monthly,
}


def _noise(random: Random, spread: float) -> float:
    return math.exp(random.gauss(0, spread))
