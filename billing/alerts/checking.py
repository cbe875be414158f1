"""Compares figures with thresholds, and tells of each that is reached, once.

What was told is a row with a unique key (account, kind, month or contract, basis, threshold, limit), stored
in the transaction of its event. So it does not matter how often this is done, by how many at once, when it
was killed, or whether usage fell below a threshold meanwhile and rose again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog

from billing.alerts.figures import first_day_needed, month_figures
from billing.alerts.thresholds import Figure, Reached, reached, sentence
from billing.errors import Invalid
from billing.ids import new_id
from billing.notifications.telling import make_event, tell
from billing.pricing.books import Books
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import PricingError
from billing.repository import accounts, alerts, plans
from billing.repository.accounts import Account, is_after_closing
from billing.repository.alerts import NO_SETTINGS, Alert, AlertSettings
from billing.repository.lists import WHOLE, Page
from billing.repository.notifications import Event
from billing.terms import get_account
from metering.database import reading, writing
from metering.period import DAY_US, HOUR_US, Month, day_of, day_start, format_instant
from metering.store import EventStore

log = structlog.get_logger()

_EVENT_OF = {
    "free_runs": "usage.threshold_reached",
    "budget": "budget.threshold_reached",
    "commitment": "contract.run_balance_low",
}
# So many accounts are in memory at once.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of an alert, whenever it was reached."""

    kind: str
    period: str
    basis: str
    threshold: int
    limit: int


def check_alerts(
    engine: sa.Engine, store: EventStore, now: int, *, grace_hours: int, account: str | None = None
) -> list[Alert]:
    """Compare the figures of every account, or one, and tell of what is reached and was not told; answers
    that. While a month's grace period lasts, what comes late to it is looked at too. Raises NotFound for an
    account there is not."""
    found: list[Alert] = []
    months = sorted({Month.of(now - grace_hours * HOUR_US), Month.of(now)})
    with reading(engine) as connection:
        catalogue = plans.catalogue(connection)
    for page in _pages(engine, account):
        ids = [each.id for each in page]
        with reading(engine) as connection:
            chosen = alerts.settings_of(connection, ids)
        # Of a month that nobody had task runs in, nothing is counted; but forecasts go by the month before.
        busy = store.accounts_with_runs(ids, months[0].previous().start, months[-1].end)
        for each in page:
            if each.id in busy or each.terms.contract(months[-1]) is not None:
                settings = chosen.get(each.id, NO_SETTINGS)
                found += _check_account(engine, store, each, catalogue, settings, months, now)
    return found


def _pages(engine: sa.Engine, account: str | None) -> Iterator[Sequence[Account]]:
    if account is not None:
        with reading(engine) as connection:
            yield [get_account(connection, account)]
        return
    after = ""
    while True:
        with reading(engine) as connection:
            page = accounts.every(connection, after=after, limit=_PAGE)
        yield page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _check_account(
    engine: sa.Engine,
    store: EventStore,
    account: Account,
    catalogue: Catalogue,
    chosen: AlertSettings,
    months: Sequence[Month],
    now: int,
) -> list[Alert]:
    """Whatever is wrong with one account, the others are looked at."""
    told: list[Alert] = []
    for month in months:
        try:
            figures = _figures(store, account, catalogue, chosen, month, now)
        except PricingError as error:
            log.warning("alerts not checked", account=account.id, month=str(month), error=str(error))
            continue
        for figure in figures:
            told += _tell(engine, account.id, reached(figure), now)
    return told


def _figures(
    store: EventStore,
    account: Account,
    catalogue: Catalogue,
    chosen: AlertSettings,
    month: Month,
    now: int,
) -> list[Figure]:
    if month < account.billing_from or is_after_closing(account, month):
        return []
    today = day_of(now)
    first = first_day_needed(account.terms, month)
    billable = store.billable_days(account.id, day_start(first), day_start(today) + DAY_US)
    books = Books(account.id, account.currency, account.terms)
    return month_figures(books, catalogue, billable, month, today, chosen.budget)


def _tell(engine: sa.Engine, account_id: str, found: Sequence[Reached], now: int) -> list[Alert]:
    if not found:
        return []
    with reading(engine) as connection:
        held = alerts.of_account(connection, account_id, [found[0].figure.period])
    known = {_Told(each.kind, each.period, each.basis, each.threshold, each.limit) for each in held}
    fresh = [each for each in found if not _is_told(each, known)]
    if not fresh:
        return []
    highest = {each.basis: each.threshold for each in fresh}  # they come in order
    told = []
    with writing(engine) as connection:
        for each in fresh:
            alert = _alert(account_id, each, now)
            if alerts.add(connection, alert):  # else another service was faster
                mail = each.threshold == highest[each.basis]
                tell(connection, [replace(_event(alert, each, now), mail=mail)])
                told.append(alert)
    return told


def _is_told(each: Reached, known: set[_Told]) -> bool:
    """A forecast of what was reached already is none."""
    figure = each.figure
    bases = ("actual", "forecast") if each.basis == "forecast" else ("actual",)
    told = (_Told(figure.kind, figure.period, basis, each.threshold, figure.limit) for basis in bases)
    return any(one in known for one in told)


def _alert(account_id: str, each: Reached, now: int) -> Alert:
    figure = each.figure
    return Alert(
        new_id("alr", now),
        account_id,
        figure.kind,
        figure.period,
        each.basis,
        each.threshold,
        figure.limit,
        each.value,
        figure.currency,
        sentence(account_id, each),
        now,
    )


def _event(alert: Alert, each: Reached, now: int) -> Event:
    data = {
        "alert": alert.id,
        **each.figure.to_data(),
        "basis": each.basis,
        "threshold": each.threshold,
    }
    return make_event(_EVENT_OF[alert.kind], alert.id, alert.account, alert.message, data, now)


def list_alerts(
    engine: sa.Engine, *, account: str | None = None, month: Month | None = None, page: Page = WHOLE
) -> list[Alert]:
    """Thresholds that were reached, in that order; `month`: those of that month's free runs and budget."""
    period = None if month is None else str(month)
    with reading(engine) as connection:
        return alerts.search(connection, account=account, period=period, page=page)


def account_alerts(engine: sa.Engine, store: EventStore, account_id: str, now: int) -> dict[str, object]:
    """What an account has chosen, and its figures of this month as they stand, in the shape of JSON answers.
    Raises NotFound, Invalid."""
    month = Month.of(now)
    with reading(engine) as connection:
        account = get_account(connection, account_id)
        catalogue = plans.catalogue(connection)
        chosen = alerts.settings(connection, account_id)
    try:
        figures = _figures(store, account, catalogue, chosen, month, now)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None
    return {
        "account": account_id,
        "month": str(month),
        "currency": account.currency,
        "budget": chosen.budget,
        "mail": chosen.mail,
        "figures": [each.to_data() for each in figures],
    }


def alert_data(alert: Alert) -> Mapping[str, object]:
    """In the shape of JSON answers."""
    return {
        "id": alert.id,
        "account": alert.account,
        "kind": alert.kind,
        "period": alert.period,
        "basis": alert.basis,
        "threshold": alert.threshold,
        "limit": alert.limit,
        "value": alert.value,
        "currency": alert.currency,
        "message": alert.message,
        "reached_at": format_instant(alert.reached_at),
    }
