"""The first page: this month so far, what of it is not billed, what it comes to, and the invoices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from billing.completeness import account_watermark
from billing.disputes import list_disputes
from billing.errors import BillingError, Refused
from billing.invoices import each_invoice, preview
from billing.pages.visit import Visit
from billing.pricing.quota import free_runs
from billing.repository import plans
from billing.repository.invoices import Invoice
from metering.database import reading
from metering.period import Month


@dataclass(frozen=True, slots=True)
class MonthSoFar:
    """The month that the page is about, as of now. `free` is how many runs a month are free, `free_used` how
    many of those are used; None where free runs never end, or where it is not known what they are. `total`
    is None where the month cannot be priced. Runs that were `drawn` were paid for in advance."""

    month: Month
    billable: int
    not_billed: dict[str, int]
    total: int | None
    plan: str | None
    free: int | None
    free_used: int | None
    drawn: int | None
    lines: list[dict[str, Any]]

    @property
    def not_billed_total(self) -> int:
        return sum(self.not_billed.values())

    @property
    def beyond_free(self) -> int:
        """Runs after the free ones."""
        return max(0, self.billable - (self.drawn or 0) - (self.free_used or 0))


def start(visit: Visit) -> Response:
    # Asked before the counts, which may only be more complete than it says.
    watermark = account_watermark(visit.service.engine, visit.account.id)
    so_far = month_so_far(visit)
    invoices = issued_invoices(visit)
    waiting = list_disputes(visit.service.engine, account=visit.account.id, status="open")
    return visit.page(
        "start.html",
        so_far=so_far,
        invoices=invoices,
        waiting=len(waiting),
        watermark=watermark.get("watermark"),
    )


def month_so_far(visit: Visit) -> MonthSoFar:
    """From the counters, so it takes as long however many task runs there are."""
    service, account, month = visit.service, visit.account, Month.of(visit.now)
    try:
        if month < account.billing_from:
            raise Refused(f"{account.id} is billed from {account.billing_from} on")
        found: dict[str, Any] = preview(service.engine, service.store, account.id, month)
    except BillingError:  # not billed yet, or no longer: what ran is shown all the same
        counts = service.store.usage(account.id, month.start, month.end, by="month").counts
        return MonthSoFar(month, counts.billable, counts.not_billed, None, None, None, None, None, [])
    with reading(service.engine) as connection:
        version = plans.catalogue(connection).get(found["plan"])
    free = None if version is None else free_runs(version)
    drawn = found["contract"]["drawn"] if "contract" in found else None
    used = None if free is None else min(free, found["billable"] - (drawn or 0))
    return MonthSoFar(
        month,
        found["billable"],
        found["not_billed"],
        found["total"],
        found["plan"],
        free,
        used,
        drawn,
        found["lines"],
    )


def issued_invoices(visit: Visit) -> list[Invoice]:
    """The account's invoices, newest first. A draft is the operator's business until it is issued."""
    held = each_invoice(visit.service.engine, account=visit.account.id)
    return sorted(
        (each for each in held if each.status != "draft"), key=lambda each: each.number or "", reverse=True
    )
