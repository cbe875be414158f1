"""An invoice: its lines, what was not billed, and how to check its quantity."""

from __future__ import annotations

import json

from starlette.responses import Response

from billing.errors import NotFound
from billing.invoices import invoice_data, show_invoice
from billing.pages.visit import Visit, secured
from billing.reporting.invoice_pdf import invoice_pdf
from billing.reporting.proof import checkable
from billing.repository.invoices import Invoice


def show(visit: Visit) -> Response:
    invoice = issued(visit)
    data = invoice_data(visit.service.engine, invoice, visit.service.now())
    return visit.page("invoice.html", invoice=invoice, data=data, pay_at=invoice.pay_at)


def pdf(visit: Visit) -> Response:
    """For whoever pays it."""
    service = visit.service
    made = invoice_pdf(service.engine, service.settings, issued(visit).id, visit.now)
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return secured(service, Response(made.content, media_type="application/pdf", headers=headers))


def figures(visit: Visit) -> Response:
    """What the customer needs of it to check it (docs/proof.md)."""
    invoice = issued(visit)
    data = checkable(invoice_data(visit.service.engine, invoice, visit.service.now()))
    headers = {"Content-Disposition": f'attachment; filename="{invoice.number}.json"'}
    text = json.dumps(data, indent=2)
    return secured(visit.service, Response(text, media_type="application/json", headers=headers))


def issued(visit: Visit) -> Invoice:
    """The invoice of the address. Raises NotFound for a draft, and for what another account has."""
    return issued_as(visit, visit.param("invoice"))


def issued_as(visit: Visit, name: str) -> Invoice:
    """The invoice of a number, as `issued` does."""
    invoice = show_invoice(visit.service.engine, name, account=visit.account.id)
    if invoice.status == "draft":
        raise NotFound(f"there is no invoice {name!r} that was issued")
    return invoice
