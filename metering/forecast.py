"""How many runs are still to come, at the pace of the last days: pure.

A forecast is a guess, and is called one wherever it is shown. This one goes by the days that are complete,
so that a busy morning is not taken for a busy day, and by a whole week, so that weekends count as what they
are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

PACE_DAYS = 7


def expected_days(billable: Mapping[date, int], today: date, until: date) -> dict[date, int] | None:
    """The billable runs that are expected of each day of `[today, until)`, beyond those that are known. None
    without a complete day to go by.

    `billable` holds the days that have runs; give some weeks before `today`: an account whose first run is
    more recent than a week has the pace of the days since.

    >>> known = {date(2026, 10, day): 10 for day in range(1, 8)}
    >>> expected_days(known | {date(2026, 10, 8): 4}, date(2026, 10, 8), date(2026, 10, 10))
    {datetime.date(2026, 10, 8): 6, datetime.date(2026, 10, 9): 10}
    """
    before = [day for day, runs in billable.items() if runs and day < today]
    if not before:
        return None
    days = min(PACE_DAYS, (today - min(before)).days)
    last = sum(billable.get(today - timedelta(back), 0) for back in range(1, days + 1))
    found: dict[date, int] = {}
    for number in range((until - today).days):
        # Whole runs that add up to the pace, whatever it is.
        runs = last * (number + 1) // days - last * number // days
        day = today + timedelta(number)
        if more := max(0, runs - billable.get(day, 0)):
            found[day] = more
    return found
