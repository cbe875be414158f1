"""The rating of a month, of many accounts at once: what `pricing.rating`, `program_discount` and
`price_protection` do with one, on columns (docs/rules.md §3, §5). A test compares them on random plans.

Amounts are whole numbers throughout. Where 64 bits might not hold them, columns are of Python's integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from billing.pricing.catalogue import PlanVersion
from billing.pricing.currency import currency
from billing.pricing.program_discount import MAX_PERCENTAGE_PLACES

Integers = NDArray[np.int64]
# Of numpy's 64-bit integers, or of Python's.
Amounts = NDArray[Any]

# A percentage is counted in this part of a percent.
PERCENT_UNIT = 10**MAX_PERCENTAGE_PLACES
_WHOLE = 100 * PERCENT_UNIT
# A row without price protection.
NO_CHARGE = np.iinfo(np.int64).max
_SAFE = 2**62


def number_type(most: int, rows: int, versions: Iterable[PlanVersion]) -> type:
    """What numbers have to be of: `most` is the largest quantity of a month, `rows` how many are added up."""
    highest = 1
    for version in versions:
        unit = currency(version.currency)
        amount = len(version.brackets)
        for bracket in version.brackets:
            price = Fraction(bracket.unit_price) * 10**unit.places
            highest = max(highest, 2 * most * price.numerator + price.denominator, 2 * price.denominator)
            amount += int(most * price) + 1
        amount *= unit.step
        highest = max(highest, 2 * amount * _WHOLE + _WHOLE, amount * max(rows, 1))
    return np.int64 if highest < _SAFE else object


def usage_amounts(quantities: Integers, version: PlanVersion, numbers: type) -> Amounts:
    """What each month's runs cost: the sum of its lines, a line a bracket, each rounded once; minor units."""
    total: Amounts = np.zeros(len(quantities), dtype=numbers)
    most = int(quantities.max(initial=0))
    lower = 0
    for bracket in version.brackets:
        if lower >= most:
            break
        upper = most if bracket.up_to is None else min(bracket.up_to, most)
        if bracket.unit_price:
            runs: Amounts = (np.clip(quantities, lower, upper) - lower).astype(numbers)
            price = Fraction(bracket.unit_price) * 10 ** currency(version.currency).places
            total += _half_up(runs * price.numerator, price.denominator)
        lower = upper
    return total * currency(version.currency).step


def net_amounts(usage: Amounts, percent: Integers, charge: Integers, code: str) -> Amounts:
    """The same after programs and protection: `percent` off in `PERCENT_UNIT`, and then no more than `charge`
    minor units (`NO_CHARGE`: no such)."""
    step = currency(code).step
    coins = usage // step
    discount = _half_up(coins * percent.astype(usage.dtype), _WHOLE)
    discounted: Amounts = usage - discount * step
    # Amounts of Python's integers may lie beyond what stands for no charge.
    return np.where(charge == NO_CHARGE, discounted, np.minimum(discounted, charge.astype(usage.dtype)))


def brackets_reached(quantities: Integers, version: PlanVersion) -> Integers:
    """The number, from 1, of the bracket that holds the last run of each month; that of none is the first."""
    bounds = [min(each.up_to, _SAFE) for each in version.brackets if each.up_to is not None]
    return np.searchsorted(np.array(bounds, dtype=np.int64), quantities, side="left").astype(np.int64) + 1


def sums(index: Integers, values: Amounts, size: int) -> Amounts:
    """The values added up by their index, exactly."""
    total: Amounts = np.zeros(size, dtype=values.dtype)
    np.add.at(total, index, values)
    return total


def total(values: Amounts) -> int:
    return int(values.sum()) if len(values) else 0


def _half_up(numerator: Amounts, denominator: int) -> Amounts:
    """Divided and rounded half up; nothing here is negative."""
    quotient: Amounts = (2 * numerator + denominator) // (2 * denominator)
    return quotient
