"""Graduated rating: a month's billable runs over a plan version's brackets (docs/rules.md §3).

Each bracket's price applies to the runs that fall inside it; bounds are inclusive above, `(lower, up_to]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.pricing.catalogue import Bracket, PlanVersion
from billing.pricing.money import multiply, round_to_minor


@dataclass(frozen=True, slots=True)
class RatedBracket:
    """The runs of one bracket and what they cost: runs `first` to `last` of the month, both included.
    `unit_price` and `exact_amount` are in major units, `amount` in minor units, rounded once."""

    first: int
    last: int
    unit_price: Decimal
    exact_amount: Decimal
    amount: int

    @property
    def quantity(self) -> int:
        return self.last - self.first + 1


def rate(quantity: int, version: PlanVersion) -> tuple[RatedBracket, ...]:
    """One item for each bracket that holds runs, the free one included; none for a quantity of zero.

    Raises TypeError for a quantity that is no int (a float, a bool) and ValueError for a negative one.
    """
    _require_quantity(quantity)
    return tuple(
        _rated(
            lower + 1, quantity if bracket.up_to is None else min(quantity, bracket.up_to), bracket, version
        )
        for lower, bracket in _ranges(version)
        if quantity > lower
    )


def _rated(first: int, last: int, bracket: Bracket, version: PlanVersion) -> RatedBracket:
    exact_amount = multiply(last - first + 1, bracket.unit_price)
    return RatedBracket(
        first=first,
        last=last,
        unit_price=bracket.unit_price,
        exact_amount=exact_amount,
        amount=round_to_minor(exact_amount, version.currency),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a quantity stands in a plan: what the next run meets.

    `bracket` counts from 1 and is the one the next run falls in, `(lower, up_to]`; `next_price` is its price
    in major units; `left_in_bracket` counts runs up to its end, None without end. `free_left` counts runs
    before the first one that costs anything, None if no run ever does. `over_soft_limit` counts runs beyond
    the plan's soft limit: shown, never charged.
    """

    bracket: int
    lower: int
    up_to: int | None
    next_price: Decimal
    left_in_bracket: int | None
    free_left: int | None
    over_soft_limit: int


def standing(quantity: int, version: PlanVersion) -> Standing:
    """Where `quantity` billable runs of a month stand. Raises as `rate` does."""
    _require_quantity(quantity)
    number, lower, bracket = next(
        (number, lower, bracket)
        for number, (lower, bracket) in enumerate(_ranges(version), start=1)
        if bracket.up_to is None or quantity < bracket.up_to
    )
    free = free_runs(version)
    return Standing(
        bracket=number,
        lower=lower,
        up_to=bracket.up_to,
        next_price=bracket.unit_price,
        left_in_bracket=None if bracket.up_to is None else bracket.up_to - quantity,
        free_left=None if free is None else max(0, free - quantity),
        over_soft_limit=over_soft_limit(quantity, version),
    )


def free_runs(version: PlanVersion) -> int | None:
    """How many runs of a month are free before the first one that costs: 10,000; None without end."""
    return next((lower for lower, bracket in _ranges(version) if bracket.unit_price > 0), None)


def first_price(version: PlanVersion) -> Decimal:
    """The price of the first run of a month that costs anything; 0 where none ever does."""
    return next((bracket.unit_price for bracket in version.brackets if bracket.unit_price > 0), Decimal(0))


def over_soft_limit(quantity: int, version: PlanVersion) -> int:
    """Runs beyond the plan's soft limit; 0 for a plan without one."""
    return 0 if version.soft_limit is None else max(0, quantity - version.soft_limit)


def notes(quantity: int, version: PlanVersion) -> tuple[str, ...]:
    """What a customer should know beside the lines of a month with this many billable runs."""
    over = over_soft_limit(quantity, version)
    if not over:
        return ()
    runs = "1 task run is" if over == 1 else f"{over:,} task runs are"
    return (f"{runs} over the plan's limit of {version.soft_limit:,} a month: counted, and not charged.",)


def _ranges(version: PlanVersion) -> Iterator[tuple[int, Bracket]]:
    """Each bracket with its lower bound, which belongs to the bracket before."""
    lower = 0
    for bracket in version.brackets:
        yield lower, bracket
        lower = bracket.up_to or lower


def _require_quantity(quantity: int) -> None:
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise TypeError(f"a quantity is an int, not {type(quantity).__name__}")
    if quantity < 0:
        raise ValueError(f"a quantity of runs is never negative: {quantity}")
