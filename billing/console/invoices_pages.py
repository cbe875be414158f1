"""The invoices of a month, a page at a time; and one, with how far it is at Stripe."""

from __future__ import annotations

from starlette.responses import Response

from billing.console.visit import Visit, paged, secured
from billing.invoices import STATUSES, invoice_data, list_invoices, show_invoice
from billing.reporting.invoice_pdf import invoice_pdf

PAGE = 50


def list_(visit: Visit) -> Response:
    month = visit.month
    status, after = visit.query("status"), visit.query("after", 80)
    found = list_invoices(
        visit.service.engine, month=month, status=status or None, after=after or None, limit=PAGE + 1
    )
    shown, more = paged(found, PAGE, lambda last: {"status": status, "after": last.id})
    return visit.page(
        "month_invoices.html",
        month=month,
        chosen=status,
        statuses=STATUSES,
        invoices=shown,
        more=more,
        is_first=not after,
    )


def show(visit: Visit) -> Response:
    engine = visit.service.engine
    invoice = show_invoice(engine, visit.param("invoice"))
    data = invoice_data(engine, invoice, visit.now)
    return visit.page("invoice_shown.html", invoice=invoice, data=data)


def pdf(visit: Visit) -> Response:
    service = visit.service
    made = invoice_pdf(service.engine, service.settings, visit.param("invoice"), visit.now)
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return secured(Response(made.content, media_type="application/pdf", headers=headers))


def approve(visit: Visit) -> Response:
    """A draft as it was read."""
    approval = visit.service.approve(visit.param("invoice"), by=visit.by)
    return visit.go(f"invoices/{approval.approved[0].id}")
