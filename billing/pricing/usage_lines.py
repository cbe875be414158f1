"""The first step of every invoice: one line a bracket that holds runs (docs/rules.md §5, 1)."""

from __future__ import annotations

from billing.pricing.basis import Basis
from billing.pricing.line import Line, LineKind
from billing.pricing.money import plain
from billing.pricing.rating import RatedBracket, rate


def usage_lines(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """The month's billable runs by bracket, the free one included at zero."""
    assert not before, "usage comes first"
    lines = tuple(
        Line(
            kind=LineKind.USAGE,
            description=describe(rated, basis.currency),
            quantity=rated.quantity,
            unit_price=rated.unit_price,
            exact_amount=rated.exact_amount,
            amount=rated.amount,
        )
        for rated in rate(basis.counts.billable, basis.version)
    )
    assert sum(line.quantity for line in lines) == basis.counts.billable, "a task run was lost or invented"
    return lines


def describe(rated: RatedBracket, currency: str) -> str:
    """What the customer reads; the runs named are those on the line, so they add up to its quantity.

    `Task runs 1 to 10,000 (free)` · `Task runs 10,001 to 20,000 at 0.0025 USD each`
    """
    runs = (
        f"Task runs {rated.first:,} to {rated.last:,}" if rated.quantity > 1 else f"Task run {rated.first:,}"
    )
    if rated.unit_price == 0:
        return f"{runs} (free)"
    return f"{runs} at {plain(rated.unit_price)} {currency}{' each' if rated.quantity > 1 else ''}"
