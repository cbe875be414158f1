"""Months, days, instants and amounts in queries and bodies; what is wrong with one names its field."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, overload

from fastapi import Query
from pydantic import BeforeValidator, Field

from billing.errors import Invalid
from billing.pricing.days import parse_day
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


@overload
def day_of(text: str, field: str) -> date: ...
@overload
def day_of(text: str | None, field: str) -> date | None: ...
def day_of(text: str | None, field: str) -> date | None:
    """A day, `YYYY-MM-DD`; None where there is none. Raises Invalid."""
    if text is None:
        return None
    try:
        return parse_day(text)
    except ValueError as error:
        raise Invalid(f"{field}: {error}", field=field) from None


def _amount_as_text(value: object) -> object:
    """A whole number may be written as such; of a float, who knows what was written."""
    if isinstance(value, float):
        raise ValueError('write an amount as text, such as "100.00"')
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


AccountId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Amount = Annotated[
    str,
    BeforeValidator(_amount_as_text),
    Field(max_length=100, description='In major units, as text: "100.00".'),
]
Runs = Annotated[int, Field(strict=True, description="A quantity of task runs.")]
Amend = Annotated[
    bool,
    Field(
        strict=True,
        description="Also where it reaches into invoiced months; the next invoice bills or credits it.",
    ),
]
Reason = Annotated[str, Field(description="Why, for the history.")]


def instant_of(text: str, field: str) -> int:
    """An RFC 3339 instant. Raises Invalid."""
    try:
        return parse_bound(text)
    except ValueError as error:
        raise Invalid(f"{field} {error}", field=field) from None


def whole_hour(text: str, field: str) -> int:
    """An RFC 3339 instant on a whole hour. Raises Invalid."""
    try:
        instant = parse_bound(_LOST_PLUS.sub("+", text) if "T" in text else text)
    except ValueError as error:
        raise Invalid(f"{field} {error}", field=field) from None
    if instant % HOUR_US:
        raise Invalid(f"{field} must be on a whole hour, for example 2026-10-03T02:00:00Z", field=field)
    return instant
