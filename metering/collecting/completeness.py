"""Whether all that ended at a source is in the meter, and up to when. Pure: counts and task runs in.

A *watermark* says: of what the source had when it was looked at, every task run that ended before
`complete_to` is held. It is set by looking at task runs one by one, and kept by counting: as long as the
source counts in each day what it counted when that day was looked at, nothing came late. A day whose count
has changed is looked at again, and a watermark moves back if a task run cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from metering.agreement import Ended
from metering.collecting.reading import Span
from metering.outcome import Outcome
from metering.period import DAY_US, MINUTE_US

# What ended less than this ago may not be at the server yet.
SETTLE_US = 5 * MINUTE_US
# How often completeness is looked at, while nothing is wrong.
EVERY_US = 5 * MINUTE_US
# What has no events so long after its record was last written is metered from the record. A server that is
# well writes both within seconds of each other. To be early is safe: a record says what the event will.
RECORDS_AFTER_US = MINUTE_US
# How far back days are counted again.
DAYS = 62


class Day(NamedTuple):
    """A day, as far as it was looked at: what the source counted, and how many task runs are held of it."""

    counted: int
    runs: int


def counted_span(since: int, end: int) -> Span:
    """The time that is counted again: at most so many days before `end`, whole ones but for the first."""
    first = (end // DAY_US - DAYS) * DAY_US
    return Span(max(since, min(first, end)), end)


def days_of(span: Span) -> list[Span]:
    """The days, or parts of days, that a span is made of.

    >>> days_of(Span(DAY_US - 1, DAY_US + 1)) == [(DAY_US - 1, DAY_US), (DAY_US, DAY_US + 1)]
    True
    """
    found, start = [], span.start
    while start < span.end:
        end = min((start // DAY_US + 1) * DAY_US, span.end)
        found.append(Span(start, end))
        start = end
    return found


def is_held(run: Ended, held: Mapping[str, Outcome]) -> bool:
    """Whether the meter has heard what the source says of a run. The highest of what is said holds, so more
    may have been said than the source remembers, never less."""
    outcome = held.get(run.task_run_id)
    return outcome is not None and outcome >= run.outcome


def complete_to(end: int, missing: Iterable[int]) -> int:
    """Everything before the end of the first that is missing is there."""
    return min([end, *missing])


def bounds(since: int, complete_to: int | None, until: int) -> Span:
    """The time that is to be looked at for the first time, from what is complete already to what has settled
    before `until`. What is complete only by a clock that was ahead is not."""
    end = max(since, until - SETTLE_US)
    if complete_to is None:
        return Span(since, end)
    if complete_to > until:
        return Span(max(since, end // DAY_US * DAY_US), end)
    return Span(complete_to, max(complete_to, end))


def add_day(days: Mapping[int, Day], part: Span, seen: Day) -> dict[int, Day]:
    """The days with another part of one, that goes on where the last part looked at ended."""
    before = days.get(part.start // DAY_US, Day(0, 0)) if part.start % DAY_US else Day(0, 0)
    return replace_day(days, part, Day(before.counted + seen.counted, before.runs + seen.runs))


def replace_day(days: Mapping[int, Day], part: Span, seen: Day) -> dict[int, Day]:
    """The days with another look at all of one."""
    return {**days, part.start // DAY_US: seen}


def within(days: Mapping[int, Day], span: Span) -> dict[int, Day]:
    """The days that begin or go on within a span."""
    return {
        number: day
        for number, day in days.items()
        if number * DAY_US < span.end and (number + 1) * DAY_US > span.start
    }
