"""What charts have in common: a scale of round numbers, quantities in few letters, and texts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape


def scale(highest: int, lines: int = 4) -> tuple[int, int]:
    """A ceiling at or above `highest` and the step of its lines, of 1, 2 or 5 and zeros.

    >>> scale(0), scale(7), scale(950), scale(12_345)
    ((1, 1), (8, 2), (1000, 500), (15000, 5000))
    """
    step = next(each for each in _steps() if each * lines >= highest)
    return max(step, -(-highest // step) * step), step


def short(quantity: int) -> str:
    """A quantity in few letters.

    >>> short(950), short(25_000), short(1_540_000)
    ('950', '25k', '1.5M')
    """
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if quantity >= size:
            tenths = (quantity * 10 + size // 2) // size
            return f"{tenths // 10:,}{f'.{tenths % 10}' if tenths % 10 else ''}{letter}"
    return str(quantity)


def text(x: str, y: float, says: str, *, kind: str = "label", anchor: str = "start") -> str:
    """A text at a place; `x` with its unit, where it is not that of the picture."""
    return f'<text class="{kind}" x="{x}" y="{y:.1f}" text-anchor="{anchor}">{escape(says)}</text>'


def percent(part: float) -> str:
    """A place across, from 0 to 1.

    >>> percent(0.12345), percent(1), percent(0.5)
    ('12.35%', '100%', '50%')
    """
    return f"{part * 100:.2f}".rstrip("0").rstrip(".") + "%"


def _steps() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
