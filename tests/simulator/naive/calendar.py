"""Months are texts like `2026-03`; instants are whole microseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def month_of(day: date) -> str:
    return f"{day.year:04d}-{day.month:02d}"


def first_of(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


def after(month: str, months: int = 1) -> str:
    first = first_of(month)
    for _ in range(months):
        first = (first + timedelta(days=32)).replace(day=1)
    return month_of(first)


def months_between(first: str, end: str) -> Iterator[str]:
    """From `first` on, `end` left out."""
    while first < end:
        yield first
        first = after(first)


def instant(text: str) -> int:
    """`2026-03-01T00:00:00.000001Z`, to the microsecond."""
    moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def instant_text(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def day_of(at: int) -> date:
    return (_EPOCH + timedelta(microseconds=at)).date()
