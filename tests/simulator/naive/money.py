"""Amounts are whole minor units, exact ones fractions of the major unit (docs/rules.md §3, Rounding)."""

from __future__ import annotations

from fractions import Fraction
from math import floor

# Places after the point, and minor units of the smallest coin.
COINS = {"USD": (2, 1), "JPY": (0, 1), "KWD": (3, 1), "ISK": (0, 100)}


def rounded(exact: Fraction, code: str) -> int:
    """Half up; of a negative amount, its magnitude."""
    places, step = COINS[code]
    coins = floor(abs(exact) * 10**places + Fraction(1, 2))
    return (coins if exact >= 0 else -coins) * step


def major(amount: int, code: str) -> Fraction:
    places, step = COINS[code]
    return Fraction(amount, step * 10**places)


def text(amount: int, code: str) -> str:
    """`1,350.00`"""
    places, step = COINS[code]
    coins = abs(amount) // step
    assert coins * step == abs(amount), "not an amount of this currency"
    whole, rest = divmod(coins, 10**places)
    return f"{'-' if amount < 0 else ''}{whole:,}" + (f".{rest:0{places}d}" if places else "")
