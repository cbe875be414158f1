"""How often what came lay within the range of the forecast, on made-up accounts that nothing was chosen by:

    python -m tests.metering.coverage
    python -m tests.metering.coverage year

Each account is asked on a day of a month what is still to come of it; or what a year brings. The tables
are in docs/decisions/0033.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from statistics import median
from typing import NamedTuple

from metering.far import far_forecast
from metering.forecast import forecast
from tests.metering.series import KINDS, Series, by_day, usual

TODAY = date(2026, 10, 12)
# The days of a month on which is asked; and how many whole months of history there are before it.
CUTS = (3, 8, 15, 23, 27)
YOUNG, OLDER = (1,), (2, 3, 4, 5)
MONTH = 30


class Asked(NamedTuple):
    """One forecast, and what came."""

    held: bool
    below: bool
    off: float
    ahead: int


def asked_of(
    series: Series, *, seeds: int, months: Sequence[int], tag: str = "aside"
) -> tuple[list[Asked], int]:
    """And how many had no range."""
    found, without = [], 0
    for seed in range(seeds):
        for whole in months:
            for cut in CUTS:
                age, ahead = MONTH * whole + cut, MONTH - cut
                made = series(Random(f"aside {seed} {whole} {cut}"), age + ahead)
                told = forecast(by_day(made[:age], TODAY), TODAY, TODAY + timedelta(ahead))
                came = sum(made[age:])
                if told is None or told.low is None or told.high is None:
                    without += 1
                    continue
                off = abs(came - told.more) / max(1, came)
                found.append(Asked(told.low <= came <= told.high, came < told.low, off, ahead))
    return found, without


def coverage(found: Sequence[Asked]) -> float:
    return sum(each.held for each in found) / len(found)


def main(seeds: int) -> None:
    print("| kind | in the range | below it | above it | 3 to 7 days | 15 to 27 | off by | no range |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, series in KINDS.items():
        found, without = asked_of(series, seeds=seeds, months=OLDER)
        held, below = coverage(found), sum(each.below for each in found) / len(found)
        near = coverage([each for each in found if each.ahead <= 7])
        far = coverage([each for each in found if each.ahead >= 15])
        shares = (held, below, 1 - held - below, near, far, median(each.off for each in found))
        cells = " | ".join(f"{100 * each:.0f} %" for each in shares)
        print(f"| {kind} | {cells} | {100 * without / (without + len(found)):.0f} % |")


def a_year(seeds: int) -> None:
    print("| kind | in the range | the upper edge is so many times the lower |")
    print("|---|---|---|")
    for kind, series in (KINDS | {"growth of 1 % a week": usual(0.01)}).items():
        held, wide = [], []
        for seed in range(seeds):
            for age in (90, 130, 200, 300, 390):
                made = series(Random(f"a year {seed} {age}"), age + 365)
                told = far_forecast(by_day(made[:age], TODAY), TODAY, TODAY + timedelta(365))
                came = sum(made[age:])
                if told is not None and told.low is not None and told.high is not None:
                    low, high = sum(told.low.values()), sum(told.high.values())
                    held.append(low <= came <= high)
                    wide.append(high / max(low, 1))
        times = median(wide)
        shown = f"{times:.1f}" if times < 100 else "more than 100"
        print(f"| {kind} | {100 * sum(held) / len(held):.0f} % | {shown} |")


if __name__ == "__main__":
    a_year(20) if sys.argv[1:] == ["year"] else main(40)
