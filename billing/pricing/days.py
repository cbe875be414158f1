"""Days: dates in UTC. A range of days is half-open: the day on which something ends is the first without it
(docs/rules.md §4, §5)."""

from __future__ import annotations

from datetime import date, datetime

from metering.period import Month

_FIRST_YEAR, _LAST_YEAR = 2000, 9998


def is_day(value: object) -> bool:
    """A date, not a moment, of the years that months can have."""
    return (
        isinstance(value, date)
        and not isinstance(value, datetime)
        and _FIRST_YEAR <= value.year <= _LAST_YEAR
    )


def first_day(month: Month) -> date:
    """The day that decides what holds in a month: which contract, program or protection."""
    return date(month.year, month.number, 1)
