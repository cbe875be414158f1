"""What a contract is worth: the price of a run, and topping up against on-demand usage (docs/rules.md §4, The
report). Amounts are integers in minor units, prices decimals in major units; nothing is ever a float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing.pricing.catalogue import PlanVersion
from billing.pricing.currency import currency
from billing.pricing.money import EXACT
from billing.pricing.rating import rate
from metering.period import Month

_PRICE_PLACES = 12


@dataclass(frozen=True, slots=True)
class TopUp:
    """The `runs` that will be on demand until the end of the term at the pace: their `price` at what a
    committed run cost so far, what they add to the months' on-demand amounts, free runs included, and the
    difference, below zero where topping up is the dearer way. Amounts in minor units."""

    runs: int
    price: int
    on_demand_amount: int

    @property
    def saving(self) -> int:
        return self.on_demand_amount - self.price


def rated_amount(runs: int, version: PlanVersion) -> int:
    """A month's runs by the whole schedule, in minor units."""
    return sum(bracket.amount for bracket in rate(runs, version))


def unit_price(amount: int, runs: int, code: str) -> Decimal | None:
    """An amount in minor units by run, in major units, half up to 12 places."""
    if not runs:
        return None
    scale = _PRICE_PLACES - currency(code).exponent
    scaled = Decimal(_half_up(amount * 10**scale, runs)).scaleb(-_PRICE_PLACES, EXACT)
    return EXACT.normalize(scaled)


def top_up(
    ahead: Mapping[Month, int],
    so_far: Mapping[Month, int],
    versions: Mapping[Month, PlanVersion],
    price: int,
    committed: int,
) -> TopUp | None:
    """What the runs `ahead` that will be on demand, by month, would cost either way; `so_far` has those that
    already are. `price` is what the `committed` runs cost, in minor units. None without either."""
    runs = sum(ahead.values())
    if not runs or not committed:
        return None
    added = sum(
        rated_amount(so_far.get(month, 0) + more, versions[month])
        - rated_amount(so_far.get(month, 0), versions[month])
        for month, more in ahead.items()
    )
    step = currency(next(iter(versions.values())).currency).step
    return TopUp(runs, _half_up(runs * price, committed * step) * step, added)


def _half_up(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)
