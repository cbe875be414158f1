"""Tax is Stripe's: what of it an invoice is made with, and what Stripe asks of lines that it taxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from billing.errors import Invalid
from billing.payments.stripe_objects import StripeLine
from billing.pricing.line import Line
from billing.pricing.money import format_amount

_RATE = re.compile(r"txr_[A-Za-z0-9]+", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Tax:
    """`automatic`: Stripe computes it from where the customer is. `rates`: the ids of fixed rates at Stripe.
    Neither: invoices carry no tax. Raises Invalid for both at once."""

    automatic: bool = False
    rates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [rate for rate in self.rates if _RATE(rate) is None]
        if unknown:
            raise Invalid(
                f"BILLING_STRIPE_TAX_RATES names {unknown[0]!r}, which is no tax rate of Stripe's; write ids "
                "such as txr_1234, with commas between them"
            )
        if self.automatic and self.rates:
            raise Invalid(
                "BILLING_STRIPE_AUTOMATIC_TAX and BILLING_STRIPE_TAX_RATES exclude one another; unset one of "
                "them"
            )


NO_TAX = Tax()


def tax_of(automatic: str, rates: str) -> Tax:
    """From the settings. Raises Invalid.

    >>> tax_of("off", "txr_1, txr_2").rates
    ('txr_1', 'txr_2')
    """
    return Tax(automatic == "on", tuple(filter(None, (each.strip() for each in rates.split(",")))))


def lines_at_stripe(lines: Sequence[Line], currency: str, *, automatic: bool) -> list[StripeLine]:
    """A line for each of ours. Stripe's automatic tax takes no negative amounts: what such a line takes off
    is then taken off the other lines, from the first on, and it stays as a line of zero, with its amount
    in words. The sum is the same."""
    if not automatic or all(line.amount >= 0 for line in lines):
        return [StripeLine(line.description, line.amount) for line in lines]
    left = -sum(line.amount for line in lines if line.amount < 0)
    made = []
    for line in lines:
        taken = min(left, max(line.amount, 0))
        left -= taken
        made.append(_less(line, taken, currency))
    assert not left, "no invoice has a total below zero"
    return made


def _less(line: Line, taken: int, currency: str) -> StripeLine:
    if line.amount < 0:
        amount = format_amount(line.amount, currency)
        return StripeLine(f"{line.description} ({amount}, taken off other lines)", 0)
    if not taken:
        return StripeLine(line.description, line.amount)
    amount, less = format_amount(line.amount, currency), format_amount(taken, currency)
    return StripeLine(f"{line.description} ({amount} less {less})", line.amount - taken)
