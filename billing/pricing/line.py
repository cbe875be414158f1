"""A line of an invoice: never edited; a change is a line of its own (docs/rules.md §5)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal

from billing.pricing.money import plain, require_amount, require_decimal, to_major
from metering.period import Month


class LineKind(enum.StrEnum):
    """What a line is for. The order here is the order on every invoice. The first two are on invoices of kind
    `contract` alone, the others on those of kind `usage`."""

    INSTALMENT = "instalment"
    SERVICE = "service"
    USAGE = "usage"
    ON_DEMAND = "on_demand"
    PROGRAM_DISCOUNT = "program_discount"
    PRICE_PROTECTION = "price_protection"
    ADJUSTMENT = "adjustment"
    CREDIT = "credit"
    CARRIED = "carried"


LINE_ORDER = {kind: place for place, kind in enumerate(LineKind)}


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `quantity` counts task runs: on an adjustment it is their change, with its sign; on a line
    that is not about runs it is 1. `unit_price` is the price of one, in major units, None where there is
    none; `exact_amount` is in major units and unrounded, `amount` is what is charged, in minor units. A float
    in any of them raises TypeError.

    `month` is set on an adjustment alone: the month it is for. `reference` is what a line is booked on: on a
    credit the id of the account credit it consumes, on an instalment `grant/` and the grant's id, on a
    service `service/` and its number in the contract. Other lines have none."""

    kind: LineKind
    description: str
    quantity: int
    unit_price: Decimal | None
    exact_amount: Decimal
    amount: int
    month: Month | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.quantity, bool) or not isinstance(self.quantity, int):
            raise TypeError(f"a quantity is an int, not {type(self.quantity).__name__}")
        if self.unit_price is not None:
            require_decimal(self.unit_price)
        require_decimal(self.exact_amount)
        require_amount(self.amount)

    def to_data(self) -> dict[str, object]:
        """The line in the shape of JSON answers: decimals as plain text, never with an exponent; `month` and
        `reference` where the line has them.

        >>> Line(LineKind.USAGE, "…", 10_000, Decimal("0.0025"), Decimal("25.0000"), 2500).to_data()
        ... # doctest: +NORMALIZE_WHITESPACE
        {'kind': 'usage', 'description': '…', 'quantity': 10000, 'unit_price': '0.0025',
         'exact_amount': '25.0000', 'amount': 2500}
        """
        data: dict[str, object] = {
            "kind": self.kind.value,
            "description": self.description,
            "quantity": self.quantity,
            "unit_price": None if self.unit_price is None else plain(self.unit_price),
            "exact_amount": plain(self.exact_amount),
            "amount": self.amount,
        }
        if self.month is not None:
            data["month"] = str(self.month)
        if self.reference is not None:
            data["reference"] = self.reference
        return data


def flat_line(
    kind: LineKind,
    description: str,
    amount: int,
    currency: str,
    *,
    quantity: int = 1,
    month: Month | None = None,
    reference: str | None = None,
) -> Line:
    """A line of an amount in minor units that needs no rounding and has no price a run."""
    return Line(kind, description, quantity, None, to_major(amount, currency), amount, month, reference)
