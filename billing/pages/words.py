"""How the pages write figures, times and states: the same in every locale, and in words of the customer's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from billing.charts import meter, share
from billing.pricing.money import format_amount, plain
from billing.reporting.contract_text import long_day, month_name, runs_text, short_day
from billing.reporting.outcome_words import INVOICE_STATUS, OUTCOMES, WHY
from metering.period import SECOND_US, Month, day_of, format_instant, parse_instant

if TYPE_CHECKING:
    from markupsafe import Markup


def month_text(month: Month) -> str:
    """`October 2026`"""
    return f"{month_name(month)} {month.year}"


def moment(instant: int) -> str:
    """`3 Oct 2026, 02:00:05`"""
    return f"{short_day(day_of(instant))}, {format_instant(instant)[11:19]}"


def minute(instant: int) -> str:
    """`3 Oct 2026, 02:00`"""
    return moment(instant)[:-3]


def seconds(duration_us: int) -> str:
    """Cut to milliseconds; short ones in full, for a microsecond decides whether a run is billed.

    >>> seconds(4_250_900), seconds(65_000_000), seconds(7_200_000_000), seconds(1_000_001)
    ('4.25 s', '1 min 5 s', '2 h 0 min', '1.000001 s')
    """
    whole = duration_us // SECOND_US
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    places = f"{duration_us % SECOND_US:06d}"[: 6 if whole < 2 else 3].rstrip("0")
    return f"{whole}.{places} s" if places else f"{whole} s"


def dispute_status(dispute: Any) -> str:
    """Of a dispute, or of what is shown of one."""
    if dispute.status == "corrected" and len(dispute.reversed) < len(dispute.runs):
        return "Partly corrected"
    return {"open": "Waits for an answer", "corrected": "Corrected", "declined": "Declined"}[dispute.status]


def svg(text: str) -> Markup:
    """A picture of ours as it is: made of numbers, and of text that it escapes itself."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


def change(this: int, before: int) -> str:
    """How much more or less than before: `+12 %`, `−3 %`, `the same`, `15 times as many`.

    >>> change(112, 100), change(97, 100), change(5, 5), change(1500, 100), change(3, 0)
    ('+12 %', '−3 %', 'the same', '15 times as many', 'none before')
    """
    if not before:
        return "none before" if this else "the same"
    if this >= 4 * before:
        return f"{(2 * this + before) // (2 * before):,} times as many"
    percent = (200 * (this - before) + before) // (2 * before)
    if not percent:
        return "the same" if this == before else "about the same"
    return f"{'+' if percent > 0 else '−'}{abs(percent)} %"


def runs_query(asked: Mapping[str, str], **names: str) -> str:
    """What follows the address of a run list that shows what is asked for, of one `workspace` or `flow`."""
    return "?" + urlencode({**asked, **names, "whole": "yes"})


FILTERS: Mapping[str, Any] = {
    "amount": format_amount,
    "change": change,
    "date": short_day,
    "last_date": lambda end: short_day(end - timedelta(days=1)),
    "price": plain,
    "count": lambda quantity: f"{quantity:,}",
    "day": lambda instant: short_day(day_of(instant)),
    "dispute_status": dispute_status,
    "instant": parse_instant,
    "iso": format_instant,
    "long_day": lambda instant: long_day(day_of(instant)),
    "month_of": lambda day: month_text(Month(day.year, day.month)),
    "minute": minute,
    "moment": moment,
    "month": month_text,
    "runs": runs_text,
    "seconds": seconds,
}
GLOBALS: Mapping[str, Any] = {
    "runs_query": runs_query,
    "OUTCOMES": OUTCOMES,
    "WHY": WHY,
    "INVOICE_STATUS": INVOICE_STATUS,
    "meter": lambda *values: svg(meter(*values)),
    "share": lambda *values: svg(share(*values)),
}
