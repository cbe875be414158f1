"""Which committed runs serve which day's usage, and what is left on demand (docs/rules.md §4, Drawing).

A function of the grants and of the billable runs by day, and of nothing else. Late usage needs no special
case: draw again with what is known now, and `run_ledger` answers what to record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from billing.pricing.contract import Grant
from metering.period import Month


@dataclass(frozen=True, slots=True)
class DrawnDay:
    """A day with usage. `by_grant` names the grants that gave runs, in the order in which they were drawn,
    each with a quantity above 0; `on_demand` is what no grant covered."""

    day: date
    by_grant: tuple[tuple[str, int], ...]
    on_demand: int

    @property
    def drawn(self) -> int:
        return sum(runs for _, runs in self.by_grant)

    @property
    def billable(self) -> int:
        return self.drawn + self.on_demand


@dataclass(frozen=True, slots=True)
class Drawdown:
    """All that was drawn: days with usage in order, and `left`, the runs of each grant that nothing drew. On
    its `expires_on` what is left of a grant expires; until then it is its balance."""

    days: tuple[DrawnDay, ...]
    left: Mapping[str, int]

    def drawn(self, month: Month) -> int:
        """Runs of a month that grants served."""
        return sum(day.drawn for day in self._of(month))

    def on_demand(self, month: Month) -> int:
        """Runs of a month that no grant served: rated by the plan's whole schedule."""
        return sum(day.on_demand for day in self._of(month))

    def _of(self, month: Month) -> Iterable[DrawnDay]:
        return (day for day in self.days if (day.day.year, day.day.month) == (month.year, month.number))


def draw(grants: Iterable[Grant], usage_by_day: Mapping[date, int]) -> Drawdown:
    """Draw usage day by day in the order of the dates; on a day, grants by `expires_on`, then `granted_on`,
    then id. A grant serves the days `[granted_on, expires_on)` and never gives more than it has.

    Give the usage of the contract's whole term so far: what an early day draws, a later one misses. Raises
    TypeError for a day that is no date or a quantity that is no int, ValueError for a negative quantity.
    """
    in_order = sorted(grants, key=lambda grant: (grant.expires_on, grant.granted_on, grant.id))
    left = {grant.id: grant.runs for grant in in_order}
    assert len(left) == len(in_order), "two grants have one id"
    days = tuple(
        _draw_day(day, usage_by_day[day], in_order, left)
        for day in sorted(map(_require_day, usage_by_day))
        if _require_quantity(usage_by_day[day])
    )
    assert all(runs >= 0 for runs in left.values()), "a grant went below zero"
    return Drawdown(days, left)


def _draw_day(day: date, billable: int, in_order: Iterable[Grant], left: dict[str, int]) -> DrawnDay:
    """Takes what it draws out of `left`."""
    by_grant = []
    missing = billable
    for grant in in_order:
        runs = min(left[grant.id], missing) if grant.granted_on <= day < grant.expires_on else 0
        if runs:
            left[grant.id] -= runs
            missing -= runs
            by_grant.append((grant.id, runs))
    drawn = DrawnDay(day, tuple(by_grant), missing)
    assert drawn.billable == billable, "a task run was lost or invented"
    return drawn


def _require_day(day: date) -> date:
    if not isinstance(day, date) or isinstance(day, datetime):
        raise TypeError(f"usage is given by date, not by {type(day).__name__}")
    return day


def _require_quantity(quantity: int) -> int:
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise TypeError(f"a quantity is an int, not {type(quantity).__name__}")
    if quantity < 0:
        raise ValueError(f"a quantity of runs is never negative: {quantity}")
    return quantity
