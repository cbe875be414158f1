"""When what waits is due, by a clock that may have been wrong."""

from __future__ import annotations

import sqlalchemy as sa

from metering.period import HOUR_US

# Clocks of several services differ; by more than this they are wrong.
APART_US = HOUR_US


def has_come(column: sa.Column[int], now: int, longest_us: int) -> sa.ColumnElement[bool]:
    """From the instant in `column` on. And if that lies further ahead than anything waits: then the clock was
    ahead when it was written, and what waits would do so for as long as it was."""
    return sa.or_(column <= now, column > now + longest_us + APART_US)


def came(instant: int, now: int, longest_us: int) -> bool:
    """The same of a value.

    >>> came(5, 5, 10), came(6, 5, 10), came(5 + 10 + APART_US + 1, 5, 10)
    (True, False, True)
    """
    return instant <= now or instant > now + longest_us + APART_US
