"""Grandfathering: no more than the old monthly charge until a date (docs/rules.md §5, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from billing.pricing.days import first_day, is_day
from billing.pricing.errors import TermsError
from billing.pricing.line import Line, LineKind, flat_line
from billing.pricing.money import format_amount, require_amount
from metering.period import Month

if TYPE_CHECKING:
    from billing.pricing.basis import Basis


@dataclass(frozen=True, slots=True)
class PriceProtection:
    """`charge` is the old monthly charge in minor units of the account's currency; protection holds in the
    months whose first day is before `ends_on`. Raises TermsError."""

    charge: int
    ends_on: date

    def __post_init__(self) -> None:
        if require_amount(self.charge) < 0:
            raise TermsError(
                "price protection: the old monthly charge is negative; it must be 0 or more", field="charge"
            )
        if not is_day(self.ends_on):
            raise TermsError(
                f"price protection: its end must be a date such as 2026-01-01, not {str(self.ends_on)!r}",
                field="until",
            )

    def covers(self, month: Month) -> bool:
        return first_day(month) < self.ends_on


def price_protection(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """Where usage less discount is more than the old charge, a line that brings it down to it."""
    protection = basis.protection
    total = sum(line.amount for line in before)
    if protection is None or not protection.covers(basis.period) or total <= protection.charge:
        return ()
    charge = format_amount(protection.charge, basis.currency)
    description = f"Price protection: at most {charge} a month, ends on {protection.ends_on}"
    return (flat_line(LineKind.PRICE_PROTECTION, description, protection.charge - total, basis.currency),)
