"""Money: exact decimals, integers in minor units, and the one rounding between them (docs/rules.md §3).

A *price* and an *exact amount* are `Decimal`s in the major unit (USD). An *amount* is an `int` in the minor
unit (cents). Nothing in between is ever a float, and nothing is rounded but by `round_to_minor`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)

from billing.pricing.currency import currency
from billing.pricing.errors import AmountError, CurrencyMismatch

# Wide enough for 10^70 task runs at a price of 12 digits before and 12 after the point; what would not fit
# raises instead of being rounded. Never the ambient context, which a library may have changed.
EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation])

_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_MAX_DIGITS = 15  # before the point: keeps every amount far inside 64 bits


def multiply(quantity: int, unit_price: Decimal) -> Decimal:
    """quantity × price, exact, in the price's unit. Raises TypeError for a float or a bool.

    >>> multiply(10_000, Decimal("0.0025"))
    Decimal('25.0000')
    """
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise TypeError(f"a quantity is an int, not {type(quantity).__name__}")
    return EXACT.multiply(Decimal(quantity), require_decimal(unit_price))


def require_decimal(value: Decimal) -> Decimal:
    """The value itself; TypeError if it is not a Decimal (a float never touches money)."""
    if not isinstance(value, Decimal):
        raise TypeError(f"money is a Decimal or an int in minor units, never {type(value).__name__}")
    return value


def require_amount(value: int) -> int:
    """The value itself; TypeError if it is not an integer in minor units."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"an amount is an int in minor units, never {type(value).__name__}")
    return value


def round_to_minor(exact: Decimal, code: str) -> int:
    """The one rounding: an exact amount in major units to minor units, half up. Of a negative amount the
    magnitude is rounded half up, so that a credit mirrors the charge it undoes.

    >>> round_to_minor(Decimal("0.005"), "USD"), round_to_minor(Decimal("-0.005"), "USD")
    (1, -1)
    >>> round_to_minor(Decimal("0.00499"), "USD"), round_to_minor(Decimal("2.5"), "JPY")
    (0, 3)
    """
    unit = currency(code)
    scaled = EXACT.scaleb(require_decimal(exact), Decimal(unit.places))
    whole = int(scaled.to_integral_value(rounding=ROUND_HALF_UP, context=EXACT))
    return whole * unit.step


def require_whole(amount: int, code: str) -> int:
    """The amount itself, in minor units; TypeError if it is no int, AmountError if the currency has no coin
    that small. Only ISK and UGX can fail: they have no decimals, and are counted in hundredths."""
    if require_amount(amount) % currency(code).step:
        raise AmountError(f"{format_amount(amount, code)} is not an amount; {code} has no decimals")
    return amount


def to_major(amount: int, code: str) -> Decimal:
    """An amount in minor units as an exact decimal in major units: 2500 → 25.00."""
    return EXACT.scaleb(Decimal(require_amount(amount)), Decimal(-currency(code).exponent))


def parse_amount(text: str, code: str) -> int:
    """Read an amount that a person wrote in major units; the answer is in minor units.

    Raises AmountError with a sentence fit for a user: too many places for the currency, separators, an
    exponent, NaN. Raises TypeError for anything that is not text; a float has lost what was written.

    >>> parse_amount("20.00", "USD"), parse_amount("20", "JPY"), parse_amount("-1.5", "KWD")
    (2000, 20, -1500)
    """
    if not isinstance(text, str):
        raise TypeError(f"an amount is read from text such as '20.00', not from {type(text).__name__}")
    unit = currency(code)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise AmountError(f"{text!r} is not an amount; write plain digits with a point, such as 1350.00")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > unit.places:
        raise AmountError(f"{text!r} has {len(fraction)} digits after the point; {code} has {unit.places}")
    if len(whole) > _MAX_DIGITS:
        raise AmountError(f"{text!r} is too large; at most {_MAX_DIGITS} digits go before the point")
    minor = int(whole + fraction.ljust(unit.exponent, "0"))
    return -minor if sign else minor


def format_amount(amount: int, code: str) -> str:
    """An amount in minor units as people read it.

    >>> format_amount(135_000, "USD"), format_amount(-50, "JPY"), format_amount(500, "ISK")
    ('1,350.00 USD', '-50 JPY', '5 ISK')
    """
    unit = currency(code)
    major = to_major(amount, code)
    # An amount of ISK that is no whole króna is not ours, but is shown as it is.
    places = unit.exponent if amount % unit.step else unit.places
    return f"{major:,.{places}f} {code}"


def amount_text(amount: int, code: str) -> str:
    """An amount in minor units as `parse_amount` reads it.

    >>> amount_text(135_000, "USD"), amount_text(50, "JPY"), amount_text(500, "ISK")
    ('1350.00', '50', '5')
    """
    unit = currency(code)
    return f"{to_major(amount, code):.{unit.places}f}"


def plain(value: Decimal) -> str:
    """A decimal without exponent, with the places it has: for JSON answers and line descriptions.

    >>> plain(Decimal("25.0000")), plain(Decimal("1E-7")), plain(Decimal("0"))
    ('25.0000', '0.0000001', '0')
    """
    return f"{require_decimal(value):f}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units with its currency, for sums across accounts and documents: adding or
    comparing two currencies raises CurrencyMismatch. (Within an invoice, which has one currency, amounts
    are plain integers.)

    >>> print(Money(2500, "USD") + Money(50, "USD"))
    25.50 USD
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        require_amount(self.amount)
        currency(self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __str__(self) -> str:
        return format_amount(self.amount, self.currency)

    def _same(self, other: Money) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"money is added to money, not to {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be added or compared")
        return other.amount
