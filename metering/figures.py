"""Figures of an account's task runs that counters do not have: how long they took, and when they were told.

Facts for whoever looks for signs of misuse (`metering.signs`), or draws a histogram. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metering.period import DAY_US, SECOND_US

# A run is told late if at least so many whole days (UTC) lie between the day on which it ended and the day
# on which it was committed. A weekend without a source is no such.
LATE_DAYS = 3
# An id younger than the end of its run by more than this was made after the run: clocks differ by less.
YOUNGER_US = DAY_US


class Asked(NamedTuple):
    """Runs that end in `[start, end)`. `edges`, ascending, in microseconds, cut the durations of completions
    into `len(edges) + 1` bands: an edge belongs to the band below it, as exactly one second is not billed."""

    start: int
    end: int
    edges: tuple[int, ...] = ()

    @property
    def days(self) -> range:
        """The days of the period, counted since 1970."""
        return range(self.start // DAY_US, -(-self.end // DAY_US))


class RunFigures(NamedTuple):
    """Runs of an account. `bands`: completions, billable or too short, by duration. Of the billable ones,
    `late` were first told late, `after_period` of these after the period's end, and of `younger` the id tells
    a time after their end. A run's first event says when it was told; all of them, what holds."""

    bands: tuple[int, ...]
    late: int = 0
    after_period: int = 0
    younger: int = 0


class SharedRuns(NamedTuple):
    """`runs` ids that each of `accounts` (ascending) has, of which `billable` were billable for all of them,
    as they were first told."""

    accounts: tuple[str, ...]
    runs: int
    billable: int


class LastCommits(NamedTuple):
    """Positions of commits. A run that ends on day number `first_day + n` is told in time up to
    `in_time[n]`; `of_period` is the last commit before the period's end."""

    first_day: int
    in_time: tuple[int, ...]
    of_period: int


def last_commits(asked: Asked, last_of_day: Sequence[tuple[int, int]]) -> LastCommits:
    """From the highest position of each day that has commits, in the order of days.

    >>> last_commits(Asked(0, 2 * DAY_US), [(0, 5), (3, 8), (4, 9)])
    LastCommits(first_day=0, in_time=(8, 9), of_period=5)
    """

    def up_to(day: int) -> int:
        return max((position for each, position in last_of_day if each <= day), default=0)

    days = asked.days
    return LastCommits(days.start, tuple(up_to(day + LATE_DAYS) for day in days), up_to(days.stop - 1))


# Around the second: what lies just below it, and just above.
NEAR_A_SECOND = (SECOND_US - SECOND_US // 10, SECOND_US, SECOND_US + SECOND_US // 10)
