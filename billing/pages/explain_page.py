"""Why an invoice, or the month so far, comes to what it does: each line as a calculation, and the way to the
task runs."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from billing.explaining.explanation import Explanation
from billing.explaining.operation import explain_invoice, explain_preview
from billing.invoices import list_invoices
from billing.pages.invoice_page import issued
from billing.pages.visit import Visit
from billing.pricing.line import LineKind
from billing.repository.accounts import is_after_closing
from billing.repository.invoices import Invoice
from metering.period import Month


def of_invoice(visit: Visit) -> Response:
    service, invoice = visit.service, issued(visit)
    found = explain_invoice(service.engine, service.store, invoice.id, account=visit.account.id)
    changed = _changed(visit, found, invoice)
    return visit.page(
        "explain.html", invoice=invoice, month=invoice.month, data=found.to_data(), changed=changed
    )


def month_so_far(visit: Visit) -> Response:
    service, month = visit.service, Month.of(visit.now)
    counts = service.store.usage(visit.account.id, month.start, month.end, by="month").counts
    if month < visit.account.billing_from or (is_after_closing(visit.account, month) and counts.billable):
        # There is no price to explain.
        return visit.page("explain.html", invoice=None, month=month, data=None)
    found = explain_preview(service.engine, service.store, visit.account.id, month)
    changed = _changed(visit, found, None)
    return visit.page("explain.html", invoice=None, month=month, data=found.to_data(), changed=changed)


def _changed(visit: Visit, found: Explanation, invoice: Invoice | None) -> dict[int, str]:
    """By the number of an adjustment's line, what a run list is asked for to show the runs that it is for:
    those that are billed otherwise than by the document that last billed their month."""
    asked: dict[int, str] = {}
    issued = list_invoices(visit.service.engine, account=visit.account.id)
    before = [each for each in issued if _is_before(each, invoice)]
    for number, line in enumerate((each.line for each in found.lines), 1):
        month = line.month
        if line.kind is not LineKind.ADJUSTMENT or month in (None, found.month) or not line.quantity:
            continue
        billed = [each for each in before if month in (each.month, *(one.month for one in each.lines))]
        if billed:
            since = max(billed, key=lambda each: each.cutoff or 0)
            to = {} if invoice is None else {"to": invoice.number}
            asked[number] = urlencode({"month": month, "since": since.number, **to})
    return asked


def _is_before(each: Invoice, invoice: Invoice | None) -> bool:
    """Whether it is a document of usage that was in force when another was made."""
    if each.kind == "contract" or each.status in ("draft", "void") or each.cutoff is None:
        return False
    return invoice is None or (each.entry or 0) < (invoice.entry or 0)
