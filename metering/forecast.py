"""How many runs are still to come, and how far off that may be: pure (docs/decisions/0022).

A forecast is a guess, and is called one wherever it is shown. It goes by days that are complete, so that a
busy morning is not taken for a busy day; by the middle of three weeks, so that one odd week moves nothing;
and by days of the same name, so that weekends count as what they are. How far off it may be is what it was
off before: the same rule is asked at every earlier day what was to come then, and compared with what came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import NamedTuple

WEEK = 7
PACE_DAYS = 7
# The days of three weeks, of which the middle one is the level.
LEAST_DAYS = 3 * WEEK
# An account that had no run for so long has nothing to go by.
RECENT_DAYS = 28
# How far back errors of the past are looked at, and how many days of history a range needs.
HISTORY_DAYS = 140
LEAST_HISTORY_DAYS = 42
# A range holds so many percent of what comes.
COVERAGE = 80

# Of the stretch that can be looked back on, one that is to be judged is at most this part: else there are too
# few of them that do not overlap. Longer times ahead are judged by what was off, as a share, in shorter ones.
_STRETCHES = 6
# Few stretches say little of the edges: the edges are taken further out, the fewer there are.
_CAUTION = 0.4


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of `[today, until)`. `days`: of each day the billable runs beyond those that are
    known. `low` and `high`: the edges of the range that holds the sum of `days` four times of five; None
    where the history is too short to know. `history_days`: complete days since the first run, as far back as
    is looked; `judged`: of how many days in the past the same rule was compared with what came."""

    days: Mapping[date, int]
    low: int | None
    high: int | None
    history_days: int
    judged: int

    @property
    def more(self) -> int:
        """Runs that are expected beyond those that are known."""
        return sum(self.days.values())

    def spread(self, more: int) -> dict[date, int]:
        """So many runs over the days ahead, as `days` has them; evenly where it has none."""
        parts = list(self.days.values()) if self.more else [1] * len(self.days)
        every = sum(parts)
        sums = [0, *(more * each // every for each in accumulate(parts))]
        return {day: later - earlier for day, (earlier, later) in zip(self.days, pairwise(sums), strict=True)}


class _Pace(NamedTuple):
    """What is expected of the days ahead: of the first the first share of `runs`, and after the last share
    the first again. `every` is what the shares are of."""

    runs: int
    shares: Sequence[int]
    every: int

    def sum(self, days: int) -> int:
        """Of so many days; whole runs, which in the end add up to the pace."""
        weeks, rest = divmod(days, len(self.shares))
        shares = weeks * sum(self.shares) + sum(self.shares[:rest])
        return self.runs * shares // self.every


def expected_days(billable: Mapping[date, int], today: date, until: date) -> dict[date, int] | None:
    """The billable runs that are expected of each day of `[today, until)`, beyond those that are known. None
    if there was no run in the last four complete weeks.

    `billable` holds the days that have runs; give `RECENT_DAYS` before `today`. A week to come is as the
    middle one of the last three, and its days have the shares of the middle ones of their name. An account
    whose first run is more recent has the pace of the last week, or of the days since.

    >>> known = {date(2026, 10, day): 10 for day in range(1, 8)}
    >>> expected_days(known | {date(2026, 10, 8): 4}, date(2026, 10, 8), date(2026, 10, 10))
    {datetime.date(2026, 10, 8): 6, datetime.date(2026, 10, 9): 10}
    """
    days = [billable.get(today - timedelta(back), 0) for back in range(RECENT_DAYS, 0, -1)]
    pace = _pace(days)
    if pace is None:
        return None
    found: dict[date, int] = {}
    for number in range((until - today).days):
        day = today + timedelta(number)
        if more := max(0, pace.sum(number + 1) - pace.sum(number) - billable.get(day, 0)):
            found[day] = more
    return found


def forecast(billable: Mapping[date, int], today: date, until: date) -> Forecast | None:
    """The same with a range; None where there is nothing to go by, or no day to come. Give `HISTORY_DAYS`
    before `today`."""
    expected = expected_days(billable, today, until)
    if expected is None or until <= today:
        return None
    days_back = ((today - day).days for day, runs in billable.items() if runs)
    history = max(back for back in days_back if back <= HISTORY_DAYS)
    days = {today + timedelta(n): 0 for n in range((until - today).days)} | expected
    if history < LEAST_HISTORY_DAYS:
        return Forecast(days, None, None, history, 0)
    series = [billable.get(today - timedelta(back), 0) for back in range(history, 0, -1)]
    off = past_errors(series, len(days))
    low, high = _edges(off, (history - LEAST_DAYS) / _judged(history, len(days)))
    point, usual = _sum(series, len(days)), _usual_day(series) * len(days)
    known, more = billable.get(today, 0), sum(expected.values())
    return Forecast(
        days,
        low=min(more, max(0, round(point + low * usual) - known)),
        high=max(more, round(point + high * usual) - known),
        history_days=history,
        judged=len(off),
    )


def past_errors(series: Sequence[int], ahead: int) -> list[float]:
    """What the rule was off in the past, for a forecast of `ahead` days: at each day of a series of complete
    days, oldest first and the first one with runs, what came in the days after it less what was expected, as
    a share of so many usual days. One for each day that has enough days before it and after it; in a short
    series fewer days than `ahead` are judged."""
    judged = _judged(len(series), ahead)
    sums = [0, *accumulate(series)]
    found = []
    for origin in range(LEAST_DAYS, len(series) - judged + 1):
        before = series[:origin]
        came = sums[origin + judged] - sums[origin]
        found.append((came - _sum(before, judged)) / (_usual_day(before) * judged))
    return found


def _judged(history: int, ahead: int) -> int:
    return max(1, min(ahead, (history - LEAST_DAYS) // _STRETCHES))


def _sum(before: Sequence[int], ahead: int) -> int:
    """What is expected of so many days after some complete ones."""
    pace = _pace(before[-RECENT_DAYS:])
    return 0 if pace is None else pace.sum(ahead)


def _pace(days: Sequence[int]) -> _Pace | None:
    """Of complete days, oldest first, `RECENT_DAYS` at most. None without a run."""
    first = next((number for number, runs in enumerate(days) if runs), None)
    if first is None:
        return None
    known = len(days) - first
    if known < LEAST_DAYS:
        last = days[-min(PACE_DAYS, known) :]
        return _Pace(sum(last), [1], len(last))
    weeks = [days[-back : len(days) - back + WEEK] for back in range(LEAST_DAYS, 0, -WEEK)]
    level = _middle(sum(week) for week in weeks)
    shares = [_middle(of_a_name) for of_a_name in zip(*weeks, strict=True)]
    return _Pace(level, shares, sum(shares)) if any(shares) else _Pace(level, [1], WEEK)


def _middle(three: Iterable[int]) -> int:
    _, middle, _ = sorted(three)
    return middle


def _usual_day(before: Sequence[int]) -> float:
    """What errors are measured by: the mean of all days, or of the last four weeks where that is more."""
    last = before[-RECENT_DAYS:]
    return max(sum(before) / len(before), sum(last) / len(last))


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
