"""What a year may bring: pure (docs/decisions/0033).

Nobody has seen many years of an account, so a range over one cannot be made of what the forecast was off
before, as that of a month is. Its middle is the forecast, of which growth fades; its edges are what comes if
usage grows, or falls, all the time as fast as it ever did over half of the history, and somewhat faster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from metering.forecast import forecast, series
from metering.pace import pace_of

# How far back is looked, in stretches of four weeks, and how many of them a range needs.
STRETCH = 28
FAR_DAYS = 13 * STRETCH
LEAST_STRETCHES = 3
# What the edges go beyond the rates that were seen, since few were.
_BEYOND = 1.3
# Nobody is expected to grow more than twentyfold in a year, whatever the last months were.
_MOST = math.log(20) / 365
# A stretch with less than a twentieth of the usual counts as one with so much: what is nothing has no rate.
_LEAST_SHARE = 20


@dataclass(frozen=True, slots=True)
class Far:
    """Of each day the runs that are expected, and those at the edges; the latter None where the history is
    too short. `history_days`: complete days since the first run, as far back as is looked."""

    days: Mapping[date, int]
    low: Mapping[date, int] | None
    high: Mapping[date, int] | None
    history_days: int


def far_forecast(billable: Mapping[date, int], today: date, until: date) -> Far | None:
    """None where there is nothing to go by, or no day to come. Give `FAR_DAYS` before `today`."""
    near = forecast(billable, today, until)
    if near is None:
        return None
    back = max(
        (today - day).days for day, runs in billable.items() if runs and (today - day).days <= FAR_DAYS
    )
    known = series(billable, today, back)
    rates, pace = rates_of(known), pace_of(known)
    if rates is None or pace is None or near.low is None or near.high is None:
        return Far(near.days, None, None, back)
    even = pace._replace(growth=1.0)
    usual = [even.sum(number + 1) - even.sum(number) for number in range(len(near.days))]
    low, high = (_going_on(usual, rate, today) for rate in rates)
    # Where nothing grew, what the forecast was off before is more than that.
    if sum(low.values()) > near.low:
        low = near.spread(near.low)
    if sum(high.values()) < near.high:
        high = near.spread(near.high)
    return Far(near.days, low, high, back)


def rates_of(known: Sequence[int]) -> tuple[float, float] | None:
    """The least and the greatest growth a day (of the logarithm) between stretches of four weeks that lie
    half of the history apart, or further; and somewhat more than that. None with fewer than three.

    >>> least, greatest = rates_of([100] * 28 + [110] * 28 + [120] * 28)
    >>> round(math.exp(365 * greatest), 1)
    4.7
    """
    whole = len(known) // STRETCH
    if whole < LEAST_STRETCHES:
        return None
    begin = len(known) - whole * STRETCH
    sums = [sum(known[at : at + STRETCH]) for at in range(begin, len(known), STRETCH)]
    least = sum(sums) / whole / _LEAST_SHARE
    if not least:
        return None
    logs = [math.log(max(runs, least)) for runs in sums]
    apart = -(-whole // 2)
    found = [
        (logs[after] - logs[before]) / (STRETCH * (after - before))
        for before in range(whole)
        for after in range(before + apart, whole)
    ]
    falls, grows = min(found), max(found)
    return min(_MOST, falls * (_BEYOND if falls < 0 else 1)), min(
        _MOST, grows * (_BEYOND if grows > 0 else 1)
    )


def _going_on(usual: Sequence[int], rate: float, today: date) -> dict[date, int]:
    """Whole runs, which add up to the sum."""
    found, exact, so_far = {}, 0.0, 0
    for number, runs in enumerate(usual):
        exact += runs * math.exp(rate * number)
        found[today + timedelta(number)] = round(exact) - so_far
        so_far = round(exact)
    return found
