"""What a commit changes in the counters, as columns in key order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metering.period import DAY_US, HOUR_US
from metering.store.batch import Integers

_LABEL_BITS, _OUTCOME_BITS, _ACCOUNT_BITS = 32, 3, 32


class Change(NamedTuple):
    """One run more, or less, that holds this outcome."""

    ended_at: int
    account_id: int
    label_id: int
    outcome: int
    quantity: int


class Changes(NamedTuple):
    """Many changes, a column a field."""

    ended_at: Integers
    account_id: Integers
    label_id: Integers
    outcome: Integers
    quantity: Integers

    def and_also(self, more: Sequence[Change]) -> Changes:
        if not more:
            return self
        columns = np.array(more, dtype=np.int64).T
        return Changes(*(np.concatenate(pair) for pair in zip(self, columns, strict=True)))


class HourCounts(NamedTuple):
    """Columns of `usage_hours`, in key order."""

    quantity: Integers
    hour: Integers
    account_id: Integers
    outcome: Integers


class DayCounts(NamedTuple):
    """Columns of `usage_days`, in key order."""

    quantity: Integers
    day: Integers
    account_id: Integers
    label_id: Integers
    outcome: Integers


class MonthCounts(NamedTuple):
    """Columns of `usage_months`, in key order, but for the position."""

    quantity: Integers
    month: Integers
    account_id: Integers
    outcome: Integers


class ChangeCounts(NamedTuple):
    """Columns of a row of `usage_changes`, in the order of `changes.CHANGE`."""

    quantity: Integers
    hour: Integers
    month: Integers
    account_id: Integers
    label_id: Integers
    outcome: Integers


def months_of(instants: Integers) -> Integers:
    """The months of instants, counted since January 1970."""
    return instants.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)


def by_hour(changes: Changes) -> HourCounts:
    hours = changes.ended_at // HOUR_US
    keys = ((hours << _ACCOUNT_BITS) + changes.account_id << _OUTCOME_BITS) + changes.outcome
    first, quantity = _summed(keys, changes.quantity)
    return HourCounts(quantity, hours[first], changes.account_id[first], changes.outcome[first])


def by_day(changes: Changes) -> DayCounts:
    # A label is of one account, and takes its place in the key; the account is put back, and sorted by.
    days = changes.ended_at // DAY_US
    keys = ((days << _LABEL_BITS) + changes.label_id << _OUTCOME_BITS) + changes.outcome
    first, quantity = _summed(keys, changes.quantity)
    account_id, label_id = changes.account_id[first], changes.label_id[first]
    day, outcome = days[first], changes.outcome[first]
    order = np.lexsort((outcome, label_id, account_id, day))
    return DayCounts(*(column[order] for column in (quantity, day, account_id, label_id, outcome)))


def by_hour_and_label(changes: Changes) -> ChangeCounts:
    """What changed, also where it comes to nothing: the month was changed."""
    hours = changes.ended_at // HOUR_US
    keys = ((hours << _LABEL_BITS) + changes.label_id << _OUTCOME_BITS) + changes.outcome
    first, quantity = _summed(keys, changes.quantity, all_of_them=True)
    months = months_of(changes.ended_at[first])
    named = (changes.account_id[first], changes.label_id[first], changes.outcome[first])
    return ChangeCounts(quantity, hours[first], months, *named)


def by_month(changes: Changes) -> MonthCounts:
    """A month whose runs changed places stays in it with a quantity of zero: it was changed."""
    months = months_of(changes.ended_at)
    keys = ((months << _ACCOUNT_BITS) + changes.account_id << _OUTCOME_BITS) + changes.outcome
    first, quantity = _summed(keys, changes.quantity, all_of_them=True)
    return MonthCounts(quantity, months[first], changes.account_id[first], changes.outcome[first])


def _summed(keys: Integers, quantities: Integers, *, all_of_them: bool = False) -> tuple[Integers, Integers]:
    """Of each key, in order: a place that has it, and the sum of its quantities, unless that is zero."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.zeros(len(first), dtype=np.int64)
    np.add.at(sums, inverse, quantities)
    if all_of_them:
        return first, sums
    changed = sums != 0
    return first[changed], sums[changed]
