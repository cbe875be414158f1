"""How the console writes figures and states, beside what the customer's pages have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.charts import trend
from billing.pages.words import FILTERS as CUSTOMERS_FILTERS
from billing.pages.words import GLOBALS as CUSTOMERS_GLOBALS
from billing.pages.words import svg
from billing.pricing.money import format_amount
from metering.period import DAY_US, HOUR_US, MINUTE_US, Month

JOBS = {
    "billing-run": "Billing run",
    "drafts": "Drafts",
    "approve": "Approval",
    "check": "Check of the month",
    "reconcile": "Reconciliation",
    "preview": "Preview of a plan",
    "backtest": "Backtest",
    "what-if": "Another threshold",
    "revenue": "Revenue report",
    "risks": "Contracts by risk",
    "resend": "Sending again",
}


def signed(amount: int, currency: str) -> str:
    """A change of an amount.

    >>> signed(500, "USD"), signed(-500, "USD"), signed(0, "USD")
    ('+5.00 USD', '−5.00 USD', '0.00 USD')
    """
    sign = "+" if amount > 0 else "−" if amount < 0 else ""
    return f"{sign}{format_amount(abs(amount), currency)}"


def percent_change(before: int, after: int) -> str:
    """Empty where there is nothing to compare with.

    >>> percent_change(100, 150), percent_change(3, 2), percent_change(0, 5), percent_change(7, 7)
    ('+50 %', '−33 %', '', '0 %')
    """
    if before <= 0:
        return ""
    change = round(100 * (after - before) / before)
    return f"{'+' if change > 0 else '−' if change < 0 else ''}{abs(change):,} %"


def ago(instant: int, now: int) -> str:
    """How long ago, roughly.

    >>> ago(0, 30_000_000), ago(0, 200_000_000), ago(0, 3 * 3_600_000_000), ago(0, 5 * 86_400_000_000)
    ('just now', '3 min ago', '3 h ago', '5 days ago')
    """
    passed = max(0, now - instant)
    if passed < MINUTE_US:
        return "just now"
    if passed < HOUR_US:
        return f"{passed // MINUTE_US} min ago"
    if passed < 2 * DAY_US:
        return f"{passed // HOUR_US} h ago"
    return f"{passed // DAY_US} days ago"


def short_month(month: Month) -> str:
    """`Oct 2026`"""
    return f"{CUSTOMERS_FILTERS['month'](month)[:3]} {month.year}"


FILTERS: Mapping[str, Any] = {
    **CUSTOMERS_FILTERS,
    "ago": ago,
    "change": percent_change,
    "short_month": short_month,
    "signed": signed,
}
GLOBALS: Mapping[str, Any] = {
    **CUSTOMERS_GLOBALS,
    "JOBS": JOBS,
    "bars": lambda values, label: svg(trend(values, label)),
}
