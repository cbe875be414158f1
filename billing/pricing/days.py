"""Days: dates in UTC. A range of days is half-open: the day on which something ends is the first without it
(docs/rules.md §4, §5)."""

from __future__ import annotations

import re
from datetime import date, datetime

from metering.period import Month

_FIRST_YEAR, _LAST_YEAR = 2000, 9998
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII).fullmatch


def parse_day(text: str) -> date:
    """Read `YYYY-MM-DD`. Raises ValueError with a sentence fit for a user.

    >>> parse_day("2026-02-28")
    datetime.date(2026, 2, 28)
    """
    try:
        day = date.fromisoformat(text) if _DAY(text) else None
    except ValueError:
        day = None
    if day is None or not is_day(day):
        raise ValueError(f"{text[:40]!r} is not a date; write it as YYYY-MM-DD, for example 2026-10-01")
    return day


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
