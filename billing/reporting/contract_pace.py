"""How a contract goes on if usage does: the pace of the last 30 days, drawn from the grants to the end of the
term (docs/rules.md §4, The report).

Every estimate is an ordinary drawing: the usage known, then the pace day by day. So grants that begin or
expire on the way count as they will.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from billing.pricing.contract import Contract
from billing.pricing.drawdown import Drawdown, draw
from metering.period import Month

WINDOW = 30  # days
_EDGE = Decimal("1.2816")  # standard deviations within which 80 % of a normal distribution lie
_WIDE = Context(prec=60, rounding=ROUND_HALF_UP)  # of quantities, which have at most 15 digits or so
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """The billable runs of the last days, oldest first; of none, the pace is 0."""

    counts: tuple[int, ...]

    @property
    def per_day(self) -> Decimal:
        """Runs a day, half up to two places: `3287.67`, `90`."""
        if not self.counts:
            return Decimal(0)
        mean = _WIDE.divide(Decimal(sum(self.counts)), Decimal(len(self.counts)))
        return _WIDE.normalize(_WIDE.quantize(mean, Decimal("0.01")))

    def by_day(self, days: int, edge: int = 0) -> list[int]:
        """The runs of each of the next `days` days: their sum after n days is n·mean, half up to whole runs.
        `edge` is +1 or -1 for the edges of the band that holds it four times of five if days are independent
        of each other: n·mean ± 1.2816·s·√n, s being the standard deviation of the counts. At the lower edge
        nothing is used until the sum is above zero."""
        if not self.counts:
            return [0] * days
        sums = itertools.accumulate((self._sum(n, edge) for n in range(1, days + 1)), max, initial=0)
        return [later - earlier for earlier, later in itertools.pairwise(sums)]

    def _sum(self, n: int, edge: int) -> int:
        size, total = len(self.counts), sum(self.counts)
        expected = _WIDE.divide(Decimal(n * total), Decimal(size))
        if edge and size > 1:
            spread = size * sum(count * count for count in self.counts) - total * total
            variance = _WIDE.divide(Decimal(n * spread), Decimal(size * (size - 1)))
            expected = _WIDE.fma(edge * _EDGE, _WIDE.sqrt(variance), expected)
        return int(expected.to_integral_value(context=_WIDE))


@dataclass(frozen=True, slots=True)
class Projection:
    """The term drawn to its end: at the pace, and at the edges of its band. Days up to `until` are known.
    `runs_out` is the early edge, the day itself and the late edge, as `ContractReport` explains them."""

    until: date
    expected: Drawdown
    less: Drawdown
    more: Drawdown
    runs_out: tuple[date, date, date] | None

    @property
    def on_demand(self) -> Mapping[Month, int]:
        """Runs that no grant will cover after `until`, by month."""
        found: Counter[Month] = Counter()
        for day in self.expected.days:
            if day.day > self.until:
                found[Month(day.day.year, day.day.month)] += day.on_demand
        return +found


def project(
    contract: Contract, usage: Mapping[date, int], until: date, balances: Sequence[int], pace: Pace
) -> Projection:
    """Draw the term to its end. `until` is a day of the term, or the one before it; `usage` is known for the
    days up to it, and `balances` are those of the days from the start of the term, as each ended."""
    ahead = [until + n * _DAY for n in range(1, (contract.end - until).days)]

    def drawn(edge: int) -> Drawdown:
        return draw(
            contract.grants, {**usage, **dict(zip(ahead, pace.by_day(len(ahead), edge), strict=True))}
        )

    expected, less, more = drawn(0), drawn(-1), drawn(+1)
    after = _last_covered(contract, until, balances)
    found = _first_uncovered(expected, after) if contract.grants else None
    runs_out = None
    if found is not None:
        # Rounding to whole runs may shift an edge past the middle by a run; the range always holds the day.
        early = min(found, _first_uncovered(more, after) or found)
        late = max(found, _first_uncovered(less, after) or contract.end)
        runs_out = (early, found, late)
    return Projection(until, expected, less, more, runs_out)


def _last_covered(contract: Contract, until: date, balances: Sequence[int]) -> date:
    """The day after which to look for a run that no grant covers: `until`; or, where nothing is left and
    nothing is to come, the last day that ended with a balance."""
    if any(grant.granted_on > until for grant in contract.grants) or not balances or balances[-1]:
        return until
    filled = [number for number, balance in enumerate(balances) if balance]
    return contract.start + (filled[-1] if filled else -1) * _DAY


def _first_uncovered(drawdown: Drawdown, after: date) -> date | None:
    return next((day.day for day in drawdown.days if day.day > after and day.on_demand), None)
