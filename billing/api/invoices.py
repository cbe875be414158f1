"""/v1/invoices: what was billed, and the proof of it."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from billing.api.auth import Reader
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import MonthQuery, month_of
from billing.api.shapes import InvoiceAnswer, InvoiceSummary
from billing.invoices import STATUSES, invoice_data, invoice_summary, list_invoices, show_invoice
from billing.reporting.invoice_pdf import invoice_pdf
from billing.reporting.proof import invoice_run_list, sendable, verify

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])

InvoicePath = Annotated[str, Path(description="The invoice's id or number.", examples=["2026-10-000001"])]


class DifferenceAnswer(BaseModel):
    """A field of the invoice that its events do not bear out."""

    field: str
    stored: object
    recomputed: object


class VerifyAnswer(BaseModel):
    id: str
    ok: bool
    differences: list[DifferenceAnswer]


@router.get(
    "",
    summary="List invoices",
    responses=good(list[InvoiceSummary], headers=LINK_HEADER) | KEYED,
)
def invoices_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="Of one account.")] = None,
    month: MonthQuery = None,
    status: Annotated[str | None, Query(description=f"One of {', '.join(STATUSES)}.")] = None,
) -> Response:
    """In the order in which they were made; a bound key sees those of its account."""
    if caller.account is not None and account not in (None, caller.account):
        return page.show([], _nothing, _nothing)
    found = list_invoices(
        door.service.engine,
        account=caller.account or account,
        month=None if month is None else month_of(month),
        status=status,
        after=page.after,
        limit=page.fetch,
    )
    return page.show(found, lambda invoice: invoice.id, invoice_summary)


@router.get(
    "/{invoice_id}",
    summary="Show an invoice",
    responses=good(InvoiceAnswer) | KEYED | errors(404),
)
def invoices_show(door: TheDoor, caller: Reader, invoice_id: InvoicePath) -> Response:
    service = door.service
    invoice = show_invoice(service.engine, invoice_id, account=caller.account)
    return answer(invoice_data(service.engine, invoice, service.now()))


@router.get(
    "/{invoice_id}/runs.csv",
    summary="The task runs that an invoice bills",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}} | KEYED | errors(404),
)
def invoices_runs(door: TheDoor, caller: Reader, invoice_id: InvoicePath) -> Response:
    """`sha256sum` of the file is the invoice's `run_list_sha256`; `wc -l` is its `billable`, and one for the
    header."""
    service = door.service
    invoice = show_invoice(service.engine, invoice_id, account=caller.account)
    blocks = sendable(invoice_run_list(service.engine, service.store, invoice.id))
    first = next(blocks)  # what fails, fails before the answer begins
    name = f"{invoice.number or invoice.id}-runs.csv"
    return StreamingResponse(
        chain([first], blocks),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get(
    "/{invoice_id}/pdf",
    summary="An invoice as a PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}}
    | KEYED
    | errors(404),
)
def invoices_pdf(door: TheDoor, caller: Reader, invoice_id: InvoicePath) -> Response:
    """As it stands now: lines, brackets, what was not billed, the tax that Stripe added, what was paid. Who
    it is from is in the settings `BILLING_SELLER_…`."""
    service = door.service
    made = invoice_pdf(service.engine, service.settings, invoice_id, service.now(), account=caller.account)
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return Response(made.content, media_type="application/pdf", headers=headers)


@router.get(
    "/{invoice_id}/verify",
    summary="Recompute an invoice from its events",
    responses=good(VerifyAnswer) | KEYED | errors(404),
)
def invoices_verify(door: TheDoor, caller: Reader, invoice_id: InvoicePath) -> Response:
    """As of the invoice's cutoff, with the plan version that priced it."""
    service = door.service
    found = verify(service.engine, service.store, invoice_id, account=caller.account)
    return answer(found.to_data())


def _nothing(_item: object) -> str:
    return ""
