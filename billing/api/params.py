"""Months and instants in queries and bodies; what is wrong with one names its field."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Query

from billing.errors import Invalid
from metering.period import HOUR_US, Month, parse_bound

MonthQuery = Annotated[
    str | None, Query(alias="month", description="A month, `YYYY-MM`.", examples=["2026-10"])
]

# In a query a bare + is a space; an offset that lost its sign gets it back.
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}$)")


def month_of(text: str, field: str = "month") -> Month:
    """Raises Invalid."""
    try:
        return Month.parse(text)
    except ValueError as error:
        raise Invalid(f"{field}: {error}", field=field) from None


def whole_hour(text: str, field: str) -> int:
    """An RFC 3339 instant on a whole hour. Raises Invalid."""
    try:
        instant = parse_bound(_LOST_PLUS.sub("+", text) if "T" in text else text)
    except ValueError as error:
        raise Invalid(f"{field} {error}", field=field) from None
    if instant % HOUR_US:
        raise Invalid(f"{field} must be on a whole hour, for example 2026-10-03T02:00:00Z", field=field)
    return instant
