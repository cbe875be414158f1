"""Adjustments: what earlier months cost now, less what was billed for them (docs/rules.md §5, 4).

No invoice is ever edited, and an adjustment is not computed from events: it is the difference of two sums
over documents. So it does not matter how often, how late or in how many parts something changed; what was
billed for a month always comes to what the month cost when it was last computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing.pricing.line import Line, LineKind, flat_line
from billing.pricing.money import require_amount
from metering.period import Month

if TYPE_CHECKING:
    from billing.pricing.basis import Basis

_RATED = {LineKind.USAGE, LineKind.ON_DEMAND}
_PRICED = _RATED | {LineKind.PROGRAM_DISCOUNT, LineKind.PRICE_PROTECTION}


@dataclass(frozen=True, slots=True)
class Priced:
    """What a month comes to: an amount in minor units, and the task runs that were rated for it (under
    contract: those on demand)."""

    amount: int = 0
    runs: int = 0

    def __add__(self, other: Priced) -> Priced:
        return Priced(self.amount + other.amount, self.runs + other.runs)

    def __sub__(self, other: Priced) -> Priced:
        return Priced(self.amount - other.amount, self.runs - other.runs)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """An earlier month as it is `recomputed` now (`priced` of a document composed again) and as `billed`
    (`billed_for`). `on_demand`: its runs are on-demand runs of a contract.

    On an invoice that is issued again after a void, the invoice's own month may come too, with nothing
    `recomputed`, because the lines themselves are: it takes off what other documents billed for the month.
    """

    month: Month
    recomputed: Priced
    billed: Priced
    on_demand: bool = False

    @property
    def difference(self) -> Priced:
        return self.recomputed - self.billed


def priced(lines: Iterable[Line]) -> Priced:
    """What the lines of one invoice come to for its own month: usage, discount and protection."""
    found = [line for line in lines if line.kind in _PRICED]
    return Priced(
        amount=sum(line.amount for line in found),
        runs=sum(line.quantity for line in found if line.kind in _RATED),
    )


def billed_for(month: Month, own: Iterable[Line], others: Iterable[Line], credited: int = 0) -> Priced:
    """What live documents billed for a month: the priced lines of its live invoice (`own`; empty where there
    is none), the adjustment lines for it on any live invoice (`own` and `others`), less `credited`, the
    usage credit notes on its invoice, as a magnitude in minor units."""
    own = tuple(own)
    for_month = [line for line in (*own, *others) if line.kind is LineKind.ADJUSTMENT and line.month == month]
    adjusted = Priced(sum(line.amount for line in for_month), sum(line.quantity for line in for_month))
    return priced(own) + adjusted - Priced(require_amount(credited))


def adjustment_lines(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """A line for each month whose amount differs, in order, booked in full. A change in runs that costs
    nothing makes no line; it is part of the next change that does."""
    in_order = sorted(basis.adjustments, key=lambda adjustment: adjustment.month)
    return tuple(
        flat_line(
            LineKind.ADJUSTMENT,
            _describe(adjustment, basis.period),
            adjustment.difference.amount,
            basis.currency,
            quantity=adjustment.difference.runs,
            month=adjustment.month,
        )
        for adjustment in in_order
        if adjustment.difference.amount
    )


def _describe(adjustment: Adjustment, period: Month) -> str:
    """`Adjustment for 2026-09: 1,200 task runs more`"""
    if adjustment.month == period:
        return f"Already on other invoices for {period}"
    runs = adjustment.difference.runs
    if not runs:
        return f"Adjustment for {adjustment.month}: no change in task runs"
    noun = "on-demand task run" if adjustment.on_demand else "task run"
    more = "more" if runs > 0 else "fewer"
    return f"Adjustment for {adjustment.month}: {abs(runs):,} {noun}{'' if abs(runs) == 1 else 's'} {more}"
