"""Why an invoice, or the month so far, comes to what it does: each line as a calculation, and the way to the
task runs."""

from __future__ import annotations

from starlette.responses import Response

from billing.explaining.operation import explain_invoice, explain_preview
from billing.pages.invoice_page import issued
from billing.pages.visit import Visit
from metering.period import Month


def of_invoice(visit: Visit) -> Response:
    service, invoice = visit.service, issued(visit)
    found = explain_invoice(service.engine, service.store, invoice.id, account=visit.account.id)
    return visit.page("explain.html", invoice=invoice, month=invoice.month, data=found.to_data())


def month_so_far(visit: Visit) -> Response:
    service, month = visit.service, Month.of(visit.now)
    data = None
    if month >= visit.account.billing_from:  # else there is no price to explain yet
        data = explain_preview(service.engine, service.store, visit.account.id, month).to_data()
    return visit.page("explain.html", invoice=None, month=month, data=data)
