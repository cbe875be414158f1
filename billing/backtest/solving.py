"""The number of free runs, or the price of a bracket, with which a draft brings what is brought now: found by
halving over the rating itself, so it is exact to the run, or to the last place of the price. Pure.

Both ways are monotone, line by line and after rounding: more free runs never bring more, and a higher price
never brings less. So of two neighbours one brings at least as much as now and the other does not, and that is
the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import dropwhile

import numpy as np

from billing.backtest.columns import (
    NO_CHARGE,
    PERCENT_UNIT,
    net_amounts,
    number_type,
    total,
    usage_amounts,
)
from billing.backtest.rerating import Rerated
from billing.pricing.catalogue import MAX_PRICE_DIGITS, Bracket, PlanVersion
from billing.pricing.errors import CatalogueError
from billing.pricing.money import EXACT

# To how many places a price is found, where the draft's own has no more.
PRICE_PLACES = 6


@dataclass(frozen=True, slots=True)
class Solved:
    """`brings` is what the draft brings with `value`, in minor units, at least `target`, which is what the
    same months bring now; with `next_value`, one unit on, it brings `next_brings`, which is less. (Of a
    price, one unit back.) All are None where nothing reaches the target, which `message` says."""

    what: str
    draft: str
    currency: str
    target: int
    value: int | Decimal | None = None
    brings: int | None = None
    next_value: int | Decimal | None = None
    next_brings: int | None = None
    version: PlanVersion | None = None
    message: str = ""


def solve_free_runs(rerated: Rerated, place: int) -> Solved:
    """The most free runs a month with which a draft, by its place, brings no less than now. Brackets that
    end below give way."""
    question = _Question(rerated, place)
    draft, blank = question.draft, question.solved("free_runs")
    most = int(question.rated.max(initial=0))

    def brings(free: int) -> int:
        return question.brings(_with_free_runs(draft, free))

    nothing_free = brings(0)
    if nothing_free < question.target:
        return replace(blank, next_value=0, next_brings=nothing_free, message=_TOO_LITTLE_FREE)
    if brings(most) >= question.target:
        return replace(blank, value=None, message="any number of free runs brings as much: nothing is paid")
    free = _last(lambda free: brings(free) >= question.target, 0, most)
    found = _with_free_runs(draft, free)
    return replace(
        blank,
        value=free,
        brings=brings(free),
        next_value=free + 1,
        next_brings=brings(free + 1),
        version=found,
    )


def solve_price(rerated: Rerated, place: int, bracket: int, places: int = PRICE_PLACES) -> Solved:
    """The lowest price of one bracket of a draft, counted from 1, with which it brings no less than now.
    Raises CatalogueError for a bracket that the draft has not, or a soft limit that forbids a price."""
    question = _Question(rerated, place)
    draft, blank = question.draft, question.solved(f"price:{bracket}")
    if not 1 <= bracket <= len(draft.brackets):
        raise CatalogueError(
            f"plan {draft.id} has no bracket {bracket}; it has {len(draft.brackets)}, counted from 1"
        )
    exponent = draft.brackets[bracket - 1].unit_price.as_tuple().exponent
    assert isinstance(exponent, int)
    places = max(places, -exponent)

    def priced(units: int) -> PlanVersion:
        return _with_price(draft, bracket, EXACT.scaleb(Decimal(units), -places))

    def falls_short(units: int) -> bool:
        return question.brings(priced(units)) < question.target

    if not falls_short(0):
        brings = question.brings(priced(0))
        return replace(blank, value=Decimal(0), brings=brings, version=priced(0), message=_FREE)
    highest = 10 ** (MAX_PRICE_DIGITS + places) - 1
    if not question.is_paid_without_bound(bracket) and falls_short(highest):
        return replace(blank, message=f"no price of bracket {bracket} does: too few months reach it and pay")
    bound = 1
    while falls_short(bound):
        bound = min(2 * bound, highest)
    below = _last(falls_short, 0, bound)
    found, before = priced(below + 1), priced(below)
    return replace(
        blank,
        value=found.brackets[bracket - 1].unit_price,
        brings=question.brings(found),
        next_value=before.brackets[bracket - 1].unit_price,
        next_brings=question.brings(before),
        version=found,
    )


_TOO_LITTLE_FREE = "no number of free runs does: with none at all the draft brings less than now"
_FREE = "the draft brings as much with this bracket free"


class _Question:
    """The months that move to a draft, what they bring now, and what they would bring on another version."""

    def __init__(self, rerated: Rerated, place: int) -> None:
        history = rerated.history
        rows = np.flatnonzero(rerated.draft == place)
        self.draft = rerated.drafts[place].version
        self.target = total(rerated.net_now[rows])
        self.rated = history.rated_then[rows]
        self._percent, self._charge = history.percent[rows], history.charge[rows]

    def brings(self, version: PlanVersion) -> int:
        most = int(self.rated.max(initial=0))
        numbers = number_type(most, len(self.rated), [version])
        usage = usage_amounts(self.rated, version, numbers)
        return total(net_amounts(usage, self._percent, self._charge, version.currency))

    def is_paid_without_bound(self, bracket: int) -> bool:
        """Whether some month would pay any price of a bracket: it has runs there, and nothing caps it."""
        lower = self.draft.brackets[bracket - 2].up_to if bracket > 1 else 0
        pays = (self._percent < 100 * PERCENT_UNIT) & (self._charge == NO_CHARGE)
        return bool((pays & (self.rated > min(lower or 0, NO_CHARGE))).any())

    def solved(self, what: str) -> Solved:
        return Solved(what, self.draft.id, self.draft.currency, self.target)


def _last(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The last number for which it holds: it does for `low`, and not for `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _with_free_runs(version: PlanVersion, free: int) -> PlanVersion:
    """The same schedule with so many free runs before the first bracket that costs."""
    paid = list(dropwhile(lambda each: not each.unit_price, version.brackets))
    rest = [each for each in paid if each.up_to is None or each.up_to > free] or [Bracket(None, Decimal(0))]
    head = [Bracket(free, Decimal(0))] if free else []
    return replace(version, brackets=(*head, *rest))


def _with_price(version: PlanVersion, bracket: int, price: Decimal) -> PlanVersion:
    brackets = list(version.brackets)
    brackets[bracket - 1] = replace(brackets[bracket - 1], unit_price=_plain(price))
    return replace(version, brackets=tuple(brackets))


def _plain(price: Decimal) -> Decimal:
    """As a plan file's prices are: 0.0050 and 0.005 are one."""
    return Decimal(f"{price.normalize(EXACT):f}")
