"""What the doors call: the revenue report of a month, and its journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from billing.accounts import show_account
from billing.app import Service
from billing.errors import Invalid
from billing.month_review import unassigned
from billing.pricing.days import first_day
from billing.repository import accounts, plans
from billing.revenue.figures import Window
from billing.revenue.gathering import every_account
from billing.revenue.journal import journal
from billing.revenue.ledger import Entry
from billing.revenue.report import Reporting, RevenueReport
from metering.database import reading
from metering.period import Month, day_of


def revenue_report(
    service: Service, month: Month, *, as_of: date | None = None, account: str | None = None
) -> RevenueReport:
    """Of a month, or of what is over of it; what is open is as of the end of a day, by default its last.
    Raises Invalid for a month or a day that is still to come, NotFound for an account there is not."""
    window = window_of(service, month, as_of)
    if account is not None:
        show_account(service.engine, account)
    with reading(service.engine) as connection:
        catalogue = plans.catalogue(connection)
        waiting = sorted(accounts.to_be_run(connection, month, even_void=False))
    reporting = Reporting(window, {each.id: each for each in catalogue})
    for facts in every_account(service.engine, service.store, _whole(service, month), account):
        reporting.add(facts)
    is_over = window.last < day_of(service.now())
    mine = [each for each in waiting if is_over and account in (None, each)]
    ran = service.store.accounts_with_runs(mine, month.start, month.end) if mine else set()
    strangers = unassigned(service, month) if account is None else []
    return reporting.report([each for each in mine if each in ran], strangers)


def journal_entries(service: Service, month: Month, *, account: str | None = None) -> Iterator[Entry]:
    """The entries of a month, or of what is over of it: by account, in the order of their days. Raises
    Invalid for a month that is still to come, NotFound for an account there is not."""
    window = window_of(service, month)
    if account is not None:
        show_account(service.engine, account)
    return _entries(service, window, account)


def _entries(service: Service, window: Window, account: str | None) -> Iterator[Entry]:
    for facts in every_account(service.engine, service.store, _whole(service, window.month), account):
        yield from (each for each in journal(facts) if window.has_day(each.on))


def window_of(service: Service, month: Month, as_of: date | None = None) -> Window:
    """The days that are over of a month. Raises Invalid for a month or a day that is still to come."""
    first, today = first_day(month), day_of(service.now())
    if first > today:
        raise Invalid(f"{month} has not begun; report a month that has", field="month")
    if as_of is not None and not first <= as_of <= today:
        raise Invalid(f"as_of must be from {first} to {today}, not {as_of}", field="as_of")
    last = min(month.last_day, today)
    return Window(month, last, as_of or last)


def _whole(service: Service, month: Month) -> Month:
    """The last month that is over by now and no later than one."""
    return min(month, Month.of(service.now()).previous())
