"""The first step of every invoice: one line a bracket that holds runs (docs/rules.md §5, 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.pricing.line import Line, LineKind
from billing.pricing.money import plain
from billing.pricing.rating import RatedBracket, rate

if TYPE_CHECKING:
    from billing.pricing.basis import Basis


def usage_lines(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """The month's billable runs by bracket, the free one included at zero. None under contract, where drawn
    runs are paid for and the others are on-demand lines."""
    assert not before, "usage comes first"
    if basis.contract is not None:
        return ()
    return rated_lines(LineKind.USAGE, "Task run", basis.counts.billable, basis)


def rated_lines(kind: LineKind, noun: str, quantity: int, basis: Basis) -> tuple[Line, ...]:
    """A month's runs over the plan's whole schedule, one line a bracket that holds any."""
    lines = tuple(
        Line(
            kind=kind,
            description=describe(rated, basis.currency, noun),
            quantity=rated.quantity,
            unit_price=rated.unit_price,
            exact_amount=rated.exact_amount,
            amount=rated.amount,
        )
        for rated in rate(quantity, basis.version)
    )
    assert sum(line.quantity for line in lines) == quantity, "a task run was lost or invented"
    return lines


def describe(rated: RatedBracket, currency: str, noun: str = "Task run") -> str:
    """What the customer reads; the runs named are those on the line, so they add up to its quantity.

    `Task runs 1 to 10,000 (free)` · `Task runs 10,001 to 20,000 at 0.0025 USD each`
    """
    runs = f"{noun}s {rated.first:,} to {rated.last:,}" if rated.quantity > 1 else f"{noun} {rated.first:,}"
    if rated.unit_price == 0:
        return f"{runs} (free)"
    return f"{runs} at {plain(rated.unit_price)} {currency}{' each' if rated.quantity > 1 else ''}"
