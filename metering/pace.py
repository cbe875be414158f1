"""How many runs a day are usual for an account, and whether that rises or falls: pure
(docs/decisions/0033)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

WEEK = 7
PACE_DAYS = 7
# The days of three weeks, of which the middle one is the level.
LEAST_DAYS = 3 * WEEK
# An account that had no run for so long has nothing to go by.
RECENT_DAYS = 28
# The weeks that a trend is looked for in, and how many it takes at least.
TREND_WEEKS = 8
TREND_DAYS = TREND_WEEKS * WEEK
_LEAST_TREND_WEEKS = 5
# Of the last so many weeks no more growth is believed than they show by themselves: a step is none.
_LAST_WEEKS = 4
# Of the pairs of weeks, so much more than half must go one way: of every twenty, seventeen against three.
_SURE = 0.7
# What a week grows is nine tenths of what the week before grew, and a third at most.
_DAMPED = 0.9
_MOST = math.log(4 / 3)


class Pace(NamedTuple):
    """What is expected of the days ahead: of the first the first share of `runs`, and after the last share
    the first again. `every` is what the shares are of. `growth`: how many times as much a second week has as
    the first; each later week grows a little less."""

    runs: float
    shares: Sequence[int]
    every: int
    growth: float = 1.0

    def sum(self, days: int) -> int:
        """Of so many days; whole runs, which in the end add up to the pace."""
        if self.growth == 1:
            rounds, rest = divmod(days, len(self.shares))
            return int(self.runs) * (rounds * sum(self.shares) + sum(self.shares[:rest])) // self.every
        found, runs, grown = 0, self.runs, math.log(self.growth)
        for begin in range(0, days, WEEK):
            found += round(runs) * sum(self.shares[: days - begin]) // self.every
            runs *= math.exp(grown)
            grown *= _DAMPED
        return found


def pace_of(days: Sequence[int]) -> Pace | None:
    """Of complete days, oldest first, of which the last `TREND_DAYS` count. None without a run on the last
    `RECENT_DAYS`.

    The level is the middle one of the last three weeks, each brought to the week ahead by the growth; the
    shares are the middle ones of days of the same name. An account whose first run is more recent than three
    weeks has the pace of the last week, or of the days since.

    >>> pace_of([2, 1, 1, 1, 1, 1, 0] * 3)
    Pace(runs=7, shares=[2, 1, 1, 1, 1, 1, 0], every=7, growth=1.0)
    """
    days = days[-TREND_DAYS:]
    recent = days[-RECENT_DAYS:]
    first = next((number for number, runs in enumerate(recent) if runs), None)
    if first is None:
        return None
    known = len(recent) - first
    if known < LEAST_DAYS:
        last = recent[-min(PACE_DAYS, known) :]
        return Pace(sum(last), [1], len(last))
    weeks = weeks_of(recent[-LEAST_DAYS:])
    growth = growth_of(days)
    sums: list[float] = [sum(week) for week in weeks]
    if growth != 1:
        sums = [runs * growth**back for runs, back in zip(sums, (3, 2, 1), strict=True)]
    shares = [sorted(of_a_name)[1] for of_a_name in zip(*weeks, strict=True)]
    if not any(shares):
        shares = [1] * WEEK
    return Pace(sorted(sums)[1], shares, sum(shares), growth)


def growth_of(days: Sequence[int]) -> float:
    """How many times as much a week has as the one before, of the complete weeks since the first run, the
    last eight at most: the middle one of what each pair of them says. 1 where the pairs do not agree, where
    a week has no run, or where the last weeks say the contrary; and no more than those say.

    >>> growth_of([100] * 56)
    1.0
    >>> round(growth_of([round(100 * 1.02**day) for day in range(56)]), 2)
    1.15
    """
    start = next((number for number, runs in enumerate(days) if runs), len(days))
    weeks = [sum(week) for week in weeks_of(days[start:])][-TREND_WEEKS:]
    if len(weeks) < _LEAST_TREND_WEEKS or not all(weeks):
        return 1.0
    logs = [math.log(runs) for runs in weeks]
    slopes = _slopes(logs)
    if abs(sum((each > 0) - (each < 0) for each in slopes)) < _SURE * len(slopes):
        return 1.0
    whole, last = _median(slopes), _median(_slopes(logs[-_LAST_WEEKS:]))
    if whole * last <= 0:
        return 1.0
    return math.exp(max(-_MOST, min(_MOST, min(whole, last, key=abs))))


def weeks_of(days: Sequence[int]) -> list[Sequence[int]]:
    """The complete weeks that end with the last day, oldest first."""
    return [days[at : at + WEEK] for at in range(len(days) % WEEK, len(days), WEEK)]


def _slopes(logs: Sequence[float]) -> list[float]:
    """What each pair says of one step."""
    pairs = combinations(enumerate(logs), 2)
    return [(later - earlier) / (after - before) for (before, earlier), (after, later) in pairs]


def _median(values: Iterable[float]) -> float:
    in_order = sorted(values)
    return in_order[len(in_order) // 2]
