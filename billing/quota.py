"""What an account may still run without paying on demand, now."""

from __future__ import annotations

from datetime import date

from billing.app import Service
from billing.pricing.days import first_day
from billing.pricing.quota import quota, stretches
from billing.repository import accounts, plans
from billing.terms import no_account
from metering.database import asking
from metering.forecast import HISTORY_DAYS, forecast
from metering.period import DAY_US, Month, day_of, day_start


def quota_now(service: Service, account_id: str, *, ahead: bool = False) -> dict[str, object]:
    """In the shape of JSON answers: from the counters, so it takes as long however many events there are.
    `ahead`: with what is expected by the end of the month, for which more days are read. Raises NotFound."""
    today = day_of(service.now())
    month = Month(today.year, today.month)
    with asking(service.engine) as connection:
        terms = accounts.terms_of_one(connection, account_id)
    if terms is None:
        raise no_account(account_id)
    version = plans.kept_version(service.engine, terms.plan(month))
    contract = terms.contract(month)
    days = stretches(contract, today)
    runs = service.store.billable_in(
        account_id, [(day_start(first), day_start(last)) for first, last in days]
    )
    found = quota(version, contract, dict(zip((first for first, _ in days), runs, strict=True)), today)
    return {
        "account": account_id,
        "month": str(month),
        "plan": version.id,
        "used": found.used,
        "free_left": found.free_left,
        "committed_left": found.committed_left,
        "left": found.left,
        "forecast": _forecast_data(service, account_id, found.used, today) if ahead else None,
    }


def _forecast_data(service: Service, account_id: str, used: int, today: date) -> dict[str, object] | None:
    """None where there is nothing to go by."""
    first, until = day_start(today) - HISTORY_DAYS * DAY_US, first_day(Month(today.year, today.month).next())
    billable = service.store.billable_days(account_id, first, day_start(today) + DAY_US)
    found = forecast(billable, today, until)
    if found is None:
        return None
    return {
        "used": used + found.more,
        "low": None if found.low is None else used + found.low,
        "high": None if found.high is None else used + found.high,
        "history_days": found.history_days,
        "judged": found.judged,
        "past": None if found.past is None else found.past.to_data(),
    }
