"""The rule of the forecast, asked at each day of a history what was to come: pure (docs/decisions/0022).

What it was off then makes the range of today. And the ranges that it would have given then, each of what was
known by then, tell how often they held what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from metering.pace import LEAST_DAYS, TREND_DAYS, pace_of

# How many days of history a range needs, and on how many of them there must have been runs: of a batch a
# month one must have seen some.
LEAST_HISTORY_DAYS = 42
LEAST_BUSY_DAYS = 4
# A range holds so many percent of what comes.
COVERAGE = 80

# Of the stretch that can be looked back on, one that is to be judged is at most this part: else there are too
# few of them that do not overlap. Longer times ahead are judged by what was off, as a share, in shorter ones.
_STRETCHES = 6
# Few stretches say little of the edges: the edges are taken further out, the fewer there are.
_CAUTION = 0.3
# Of fewer ranges in the past it is not said how often they held.
_LEAST_RANGES = 10


@dataclass(frozen=True, slots=True)
class Past:
    """How the rule did when it was asked at `asked` earlier days what was to come in `ahead` days.
    `off_percent`: what it was off in the middle of them, up or down, in percent of usual use. `ranges`: how
    many of them had a range by what was known then, and `held` how many of those held what came."""

    asked: int
    ahead: int
    off_percent: int
    ranges: int
    held: int

    @property
    def held_of_ten(self) -> int | None:
        """None where too few days had a range to say."""
        return None if self.ranges < _LEAST_RANGES else round(10 * self.held / self.ranges)

    @property
    def message(self) -> str:
        """In a sentence or two."""
        ahead = "the day" if self.ahead == 1 else f"the next {self.ahead} days"
        asked = f"Asked on {self.asked:,} earlier days what {ahead} would bring"
        off = f"{asked}, the forecast was off by {self.off_percent:,} % of usual use in the middle"
        if self.held_of_ten is None:
            return f"{off}. Too few of those days had a range of their own to say how often it held."
        return f"{off}, and its range held what came {self.held_of_ten} times of 10."

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "asked": self.asked,
            "days": self.ahead,
            "off_percent": self.off_percent,
            "ranges": self.ranges,
            "held": self.held,
            "message": self.message,
        }


class Walk:
    """`series`: the runs of complete days, oldest first and the first one with runs."""

    def __init__(self, series: Sequence[int]) -> None:
        self._sums = [0, *accumulate(series)]
        self._busy = [0, *accumulate(1 if runs else 0 for runs in series)]
        self._paces = {
            origin: pace
            for origin in range(LEAST_DAYS, len(series) + 1)
            if (pace := pace_of(series[max(0, origin - TREND_DAYS) : origin])) is not None
        }
        self._errors: dict[int, list[tuple[int, float]]] = {}

    @property
    def days(self) -> int:
        return len(self._sums) - 1

    def judged(self, at: int, ahead: int) -> int:
        """How long the stretches are by which so many days ahead of a day of the series are judged."""
        return max(1, min(ahead, (at - LEAST_DAYS) // _STRETCHES))

    def errors(self, ahead: int) -> list[tuple[int, float]]:
        """For each day of the series that has enough days before it and `ahead` days after it, and a run in
        the four weeks before it: what came in those after it less what was expected, as a share of so many
        usual days."""
        if ahead not in self._errors:
            self._errors[ahead] = [
                (origin, (self._came(origin, ahead) - pace.sum(ahead)) / (self._usual_day(origin) * ahead))
                for origin, pace in self._paces.items()
                if origin + ahead <= self.days
            ]
        return self._errors[ahead]

    def range(self, at: int, ahead: int) -> tuple[int, int] | None:
        """What lies ahead of a day of the series four times of five, by what was known before it; None where
        that is too little."""
        pace = self._paces.get(at)
        if at < LEAST_HISTORY_DAYS or self._busy[at] < LEAST_BUSY_DAYS or pace is None:
            return None
        judged = self.judged(at, ahead)
        off = [error for origin, error in self.errors(judged) if origin + judged <= at]
        if not off:
            return None
        low, high = _edges(off, (at - LEAST_DAYS) / judged)
        expected, usual = pace.sum(ahead), self._usual_day(at) * ahead
        return max(0, min(expected, round(expected + low * usual))), max(
            expected, round(expected + high * usual)
        )

    def past(self, ahead: int) -> Past | None:
        """Of stretches as long as the whole series allows; None without any."""
        judged = self.judged(self.days, ahead)
        off = self.errors(judged)
        if not off:
            return None
        ranges = [
            (found, self._came(origin, judged))
            for origin, _ in off
            if (found := self.range(origin, judged)) is not None
        ]
        middle = _between(sorted(abs(error) for _, error in off), 0.5)
        held = sum(low <= came <= high for (low, high), came in ranges)
        return Past(len(off), judged, round(100 * middle), len(ranges), held)

    def _came(self, origin: int, days: int) -> int:
        return self._sums[origin + days] - self._sums[origin]

    def _usual_day(self, at: int) -> float:
        """What errors are measured by: the mean of the last eight weeks."""
        days = min(at, TREND_DAYS)
        return (self._sums[at] - self._sums[at - days]) / days


def _edges(off: Sequence[float], stretches: float) -> tuple[float, float]:
    """The errors below and above which one of ten lies; further out where few stretches were judged that do
    not overlap."""
    in_order = sorted(off)
    beyond = max(0.0, (100 - COVERAGE) / 200 - _CAUTION / stretches)
    return _between(in_order, beyond), _between(in_order, 1 - beyond)


def _between(in_order: Sequence[float], share: float) -> float:
    """The value at a share of the way through some values in order."""
    place = share * (len(in_order) - 1)
    lower = min(int(place), len(in_order) - 2) if len(in_order) > 1 else 0
    upper = min(lower + 1, len(in_order) - 1)
    return in_order[lower] + (in_order[upper] - in_order[lower]) * (place - lower)
