"""How a report for people writes days, months and quantities; the same in every locale."""

from __future__ import annotations

from datetime import date

from metering.period import Month

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def long_day(day: date) -> str:
    """`5 December 2026`"""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def short_day(day: date) -> str:
    """`5 Dec 2026`"""
    return f"{day.day} {_MONTHS[day.month - 1][:3]} {day.year}"


def month_name(month: Month) -> str:
    """`December`"""
    return _MONTHS[month.number - 1]


def runs_text(quantity: int) -> str:
    """`1 run`, `12,345 runs`"""
    return "1 run" if quantity == 1 else f"{quantity:,} runs"
