"""Offers of committed runs compared with the same months without a contract: pure.

Every figure is an ordinary drawing, and the ordinary composition of months: brackets, program and protection
included. Amounts are in minor units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import accumulate, pairwise

from billing.pricing.adjustment import priced
from billing.pricing.basis import Basis
from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Grant
from billing.pricing.days import first_day
from billing.pricing.drawdown import draw
from billing.pricing.invoice import compose
from billing.pricing.on_demand import ContractMonth
from billing.pricing.terms import Terms
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts

# Shares of the last year's runs, and of those that are expected, that are looked at where nothing is offered.
SHARES = (25, 50, 75, 90, 100, 110, 125)
# Sizes are rounded up to so many runs.
_ROUND = 1000
# The furthest that break-even usage is looked for, in percent of what is expected.
_MOST_PERCENT = 300
_STEP = 5


@dataclass(frozen=True, slots=True)
class Offer:
    """A grant of so many runs for the whole term; `price` None: not known, only what it is worth is."""

    runs: int
    price: int | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """What prices the months of an account: its currency, the plan, programs and protections."""

    account: str
    currency: str
    version: PlanVersion
    terms: Terms

    def amount(self, month: Month, on_demand: int, drawn: int | None = None) -> int:
        """A month's own lines; `drawn` None: no contract."""
        contract = None if drawn is None else ContractMonth("offer", drawn, on_demand)
        basis = Basis(
            self.account,
            month,
            self.currency,
            Counts({Outcome.BILLABLE: on_demand + (drawn or 0)}),
            self.version,
            contract=contract,
            programs=self.terms.programs,
            protection=self.terms.protection(month),
        )
        return priced(compose(basis).lines).amount


@dataclass(frozen=True, slots=True)
class Compared:
    """A term with an offer and without: `without` is what its usage costs on demand, `rest` what of it is
    still on demand with the offer. `runs_out_on`: the first day with a run that it does not cover."""

    billable: int
    without: int
    rest: int
    unused: int
    runs_out_on: date | None
    price: int | None

    @property
    def break_even_price(self) -> int:
        """The most that the offer may cost."""
        return self.without - self.rest

    @property
    def saving(self) -> int | None:
        return None if self.price is None else self.break_even_price - self.price


def compare(agreed: Agreed, months: Sequence[Month], usage: Mapping[date, int], offer: Offer) -> Compared:
    """Of months that follow one another; `usage` are their billable runs by day."""
    start, end = first_day(months[0]), first_day(months[-1].next())
    here = {day: runs for day, runs in usage.items() if start <= day < end and runs}
    drawdown = draw([Grant("offer", offer.runs, offer.price or 0, start, end)], here)
    without, rest = 0, 0
    for month in months:
        drawn, on_demand = drawdown.drawn(month), drawdown.on_demand(month)
        without += agreed.amount(month, drawn + on_demand)
        rest += agreed.amount(month, on_demand, drawn)
    out = next((day.day for day in drawdown.days if day.on_demand), None)
    return Compared(sum(here.values()), without, rest, sum(drawdown.left.values()), out, offer.price)


def break_even_percent(
    agreed: Agreed, months: Sequence[Month], usage: Mapping[date, int], offer: Offer
) -> int | None:
    """The least share of some usage, in whole percent, with which an offer costs no more than on demand; None
    where none up to three times the usage does, or the price is not known."""
    if offer.price is None:
        return None

    @cache
    def saving(percent: int) -> int:
        return compare(agreed, months, scaled(usage, percent), offer).saving or 0

    # A saving grows slowly, and is looked for in steps. Beyond what is committed usage is dear again, and the
    # saving may fall: around a step that is more than those beside it each percent is looked at.
    for percent in range(_STEP, _MOST_PERCENT + 1, _STEP):
        before, after = saving(percent - _STEP), saving(percent + _STEP)
        is_peak = before <= saving(percent) >= after
        for each in range(percent - _STEP + 1, min(percent + (_STEP if is_peak else 1), _MOST_PERCENT + 1)):
            if (is_peak or saving(percent) >= 0) and saving(each) >= 0:
                return each
    return None


def break_even_runs(
    agreed: Agreed, months: Sequence[Month], usage: Mapping[date, int], offer: Offer
) -> int | None:
    """The same to the run: with so many runs, spread over the days like the usage, the offer costs no more
    than on demand, and with one less it does; None where `break_even_percent` is."""
    percent = break_even_percent(agreed, months, usage, offer)
    if percent is None:
        return None

    def pays(runs: int) -> bool:
        saving = compare(agreed, months, scaled_to(usage, runs), offer).saving
        return saving is not None and saving >= 0

    every = sum(usage.values())
    low, high = every * (percent - 1) // 100, every * percent // 100
    if pays(low):
        return low  # of nothing: it costs nothing
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if pays(middle) else (middle, high)
    return high


def scaled(usage: Mapping[date, int], percent: int) -> dict[date, int]:
    """So many percent of all, as whole runs, spread over the days like the usage."""
    return scaled_to(usage, sum(usage.values()) * percent // 100)


def scaled_to(usage: Mapping[date, int], runs: int) -> dict[date, int]:
    """So many runs in all, spread over the days like the usage.

    >>> days = [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    >>> list(scaled_to(dict.fromkeys(days, 1), 2).values())
    [0, 1, 1]
    """
    days, every = sorted(usage), max(sum(usage.values()), 1)
    sums = [0, *(so_far * runs // every for so_far in accumulate(usage[day] for day in days))]
    return {day: later - earlier for day, (earlier, later) in zip(days, pairwise(sums), strict=True)}


def sizes(billable: int, expected: int = 0) -> list[int]:
    """Quantities to look at, from the runs of a year, and from those that are expected of the next where
    these are others: a size that is within a tenth of one that is looked at already is left out.

    >>> sizes(10_500)
    [3000, 6000, 8000, 10000, 11000, 12000, 14000]
    >>> sizes(10_500, 21_000)
    [3000, 6000, 8000, 10000, 11000, 12000, 14000, 16000, 19000, 21000, 24000, 27000]
    """
    past = _sizes_of(billable)
    others = {each for each in _sizes_of(expected) if all(abs(each - size) * 10 > size for size in past)}
    return sorted(past | others)


def _sizes_of(billable: int) -> set[int]:
    return {-(-billable * share // (100 * _ROUND)) * _ROUND for share in SHARES if billable}
