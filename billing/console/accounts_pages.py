"""Accounts: found by id or name, a page at a time; and one with all that is agreed and billed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from billing.account_figures import account_figures
from billing.accounts import list_accounts, show_account
from billing.completeness import account_watermark
from billing.console.visit import Visit, paged
from billing.contract_figures import contract_figures
from billing.credits import show_credit
from billing.disputes import list_disputes
from billing.errors import BillingError, Invalid, Refused
from billing.invoices import list_invoices, preview
from billing.links import DEFAULT_HOURS, MOST_HOURS, create_link
from billing.repository.accounts import Account
from billing.terms import list_terms
from metering.period import Month

PAGE = 25
# Of an account's invoices and terms, the newest.
_MOST = 24


def list_(visit: Visit) -> Response:
    service, month = visit.service, Month.of(visit.now)
    search, after = visit.query("search", 100), visit.query("after", 64)
    found = list_accounts(service.engine, after=after, limit=PAGE + 1, search=search)
    shown, more = paged(found, PAGE, lambda last: {"search": search, "after": last.id})
    figures = account_figures(service.engine, service.store, shown, month)
    return visit.page(
        "accounts.html", figures=figures, month=month, search=search, more=more, is_first=not after
    )


def show(visit: Visit) -> Response:
    return _show(visit, show_account(visit.service.engine, visit.param("account")))


def make_link(visit: Visit) -> Response:
    """A link to the customer's pages, shown this once."""
    engine = visit.service.engine
    account = show_account(engine, visit.param("account"))
    hours = visit.field("hours")
    try:
        if not (hours.isascii() and hours.isdecimal()) or len(hours) > 4:
            raise Invalid(f"hours must be 1 to {MOST_HOURS}", field="hours")
        made = create_link(engine, account.id, now=visit.now, hours=int(hours))
    except Invalid as error:
        return _show(visit, account, 422, wrong=str(error))
    return _show(visit, account, link=made.url(visit.base), link_ends=made.expires_at)


def _show(visit: Visit, account: Account, status: int = 200, **more: Any) -> Response:
    service, month = visit.service, Month.of(visit.now)
    engine = service.engine
    (figures,) = account_figures(engine, service.store, [account], month, months=12)
    counts = service.store.usage(account.id, month.start, month.end, by="month").counts
    invoices = list_invoices(engine, account=account.id)[::-1]
    given = {"link": None, "link_ends": None, "wrong": None, "hours": DEFAULT_HOURS, "most": MOST_HOURS}
    return visit.page(
        "account_shown.html",
        status,
        account=account,
        month=month,
        figures=figures,
        counts=counts,
        preview=_preview(visit, account, month),
        watermark=account_watermark(engine, account.id).get("watermark"),
        contracts=contract_figures(service, account=account.id, now=visit.now),
        invoices=invoices[:_MOST],
        invoice_count=len(invoices),
        credit=show_credit(engine, account.id),
        disputes=list_disputes(engine, account=account.id)[::-1][:_MOST],
        terms=list_terms(engine, account.id)[::-1][:_MOST],
        **given | more,
    )


def _preview(visit: Visit, account: Account, month: Month) -> dict[str, Any] | None:
    """The invoice to come; None for a month that is not billed or cannot be priced."""
    try:
        if month < account.billing_from:
            raise Refused(f"{account.id} is billed from {account.billing_from} on")
        return preview(visit.service.engine, visit.service.store, account.id, month)
    except BillingError:
        return None
