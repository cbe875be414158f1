"""How many runs are still to come, and how far off that may be: pure (docs/decisions/0022, 0033).

A forecast is a guess, and is called one wherever it is shown. It goes by days that are complete, so that a
busy morning is not taken for a busy day; by the middle of three weeks, so that one odd week moves nothing;
by days of the same name, so that weekends count as what they are; and by a trend where eight weeks agree on
one. How far off it may be is what it was off before: the same rule is asked at every earlier day what was to
come then, and compared with what came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, pairwise

from metering.pace import TREND_DAYS, pace_of
from metering.walk import Past, Walk

# How far back errors of the past are looked at.
HISTORY_DAYS = 140


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of `[today, until)`. `days`: of each day the billable runs beyond those that are
    known. `low` and `high`: the edges of the range that holds the sum of `days` four times of five; None
    where the history is too short to know. `history_days`: complete days since the first run, as far back as
    is looked; `past`: how the same rule did at earlier days, None where there is no range."""

    days: Mapping[date, int]
    low: int | None
    high: int | None
    history_days: int
    past: Past | None

    @property
    def more(self) -> int:
        """Runs that are expected beyond those that are known."""
        return sum(self.days.values())

    @property
    def judged(self) -> int:
        """At how many days of the past the same rule was compared with what came."""
        return 0 if self.past is None else self.past.asked

    def spread(self, more: int) -> dict[date, int]:
        """So many runs over the days ahead, as `days` has them; evenly where it has none."""
        parts = list(self.days.values()) if self.more else [1] * len(self.days)
        every = sum(parts)
        sums = [0, *(more * each // every for each in accumulate(parts))]
        return {day: later - earlier for day, (earlier, later) in zip(self.days, pairwise(sums), strict=True)}


def expected_days(billable: Mapping[date, int], today: date, until: date) -> dict[date, int] | None:
    """The billable runs that are expected of each day of `[today, until)`, beyond those that are known. None
    if there was no run in the last four complete weeks.

    `billable` holds the days that have runs; give `TREND_DAYS` before `today`. A first week to come is as the
    middle one of the last three, and its days have the shares of the middle ones of their name; where eight
    weeks agree on a trend, it goes on, a little less each week. An account whose first run is more recent has
    the pace of the last week, or of the days since.

    >>> known = {date(2026, 10, day): 10 for day in range(1, 8)}
    >>> expected_days(known | {date(2026, 10, 8): 4}, date(2026, 10, 8), date(2026, 10, 10))
    {datetime.date(2026, 10, 8): 6, datetime.date(2026, 10, 9): 10}
    """
    pace = pace_of(series(billable, today, TREND_DAYS))
    if pace is None:
        return None
    sums = [pace.sum(number) for number in range((until - today).days + 1)]
    found: dict[date, int] = {}
    for number, (earlier, later) in enumerate(pairwise(sums)):
        day = today + timedelta(number)
        if more := max(0, later - earlier - billable.get(day, 0)):
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
    walk = Walk(series(billable, today, history))
    found = walk.range(history, len(days))
    if found is None:
        return Forecast(days, None, None, history, None)
    known, more = billable.get(today, 0), sum(expected.values())
    low, high = found
    return Forecast(
        days,
        low=min(more, max(0, low - known)),
        high=max(more, high - known),
        history_days=history,
        past=walk.past(len(days)),
    )


def series(billable: Mapping[date, int], today: date, days: int) -> list[int]:
    """The runs of so many days before today, oldest first."""
    return [billable.get(today - timedelta(back), 0) for back in range(days, 0, -1)]
