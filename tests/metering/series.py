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


KINDS: dict[str, Series] = {
    "weekly": weekly,
    "trending": trending,
    "bursty": bursty,
    "sparse": sparse,
    "stepping": stepping,
    "monthly": monthly,
}


def _noise(random: Random, spread: float) -> float:
    return math.exp(random.gauss(0, spread))
