"""/v1/invoices/…: voids, credit notes and approvals. Kept apart from what only reads."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.idempotency import Created, Creates
from billing.api.invoices import InvoicePath
from billing.api.openapi import KEYED, errors, good
from billing.api.params import month_of
from billing.api.proposals import PROPOSED, proposed
from billing.api.shapes import CreditNoteAnswer, InvoiceAnswer, InvoiceSummary
from billing.app import Service
from billing.credit_notes import show_credit_note
from billing.invoices import invoice_data, show_invoice
from billing.proposals import Proposal, perform
from billing.proposals.deeds import CREDIT_NOTE
from billing.voids import void_invoice

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])

_REASON = "Why; at most 200 characters, kept with the document."


class Void(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "wrong plan"}]})

    reason: str = Field(description=_REASON)


class NewCreditNote(BaseModel):
    """`usage` says that less was billed for the month: the next billing run bills it again, unless the task
    runs are corrected too. `goodwill` is a gift."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"amount": "20.00", "kind": "goodwill", "reason": "outage"}]},
    )

    amount: str = Field(description="In major units, at most what is left of the invoice's total.")
    kind: str = Field(description="`usage` or `goodwill`.")
    reason: str = Field(description=_REASON)
    stripe_note: str | None = Field(None, description="The id of one given at Stripe by hand already.")


class Approve(BaseModel):
    """All drafts of a month."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"month": "2026-10"}]})

    month: str = Field(description="`YYYY-MM`.")


class NotApproved(BaseModel):
    account: str
    message: str


class ApprovalAnswer(BaseModel):
    """`failed` names the drafts that were not issued, and the invoices that were not sent."""

    month: str
    approved: list[InvoiceSummary]
    failed: list[NotApproved]


@router.post(
    "/approvals",
    summary="Approve the drafts of a month",
    responses=good(ApprovalAnswer) | KEYED | errors(404, 409),
)
async def invoices_approve_month(creating: Creates, body: Approve) -> Response:
    """Each is issued exactly as it was reviewed, and sent."""
    service = creating.service

    def make() -> Created:
        done = service.approve_month(month_of(body.month), by=creating.by)
        return Created(done.to_data(), status=200)

    return await creating.once(make)


@router.post(
    "/{invoice_id}/approve",
    summary="Approve a draft",
    responses=good(InvoiceAnswer) | KEYED | errors(404, 409),
)
async def invoices_approve(creating: Creates, invoice_id: InvoicePath) -> Response:
    """Issued exactly as it was reviewed, and sent; `sending` says what is in the way at Stripe. 409 if it was
    drafted before the month was over, or would have other lines now."""
    service = creating.service

    def make() -> Created:
        service.approve(invoice_id, by=creating.by)
        return _shown(service, invoice_id)

    return await creating.once(make)


@router.post(
    "/{invoice_id}/void",
    summary="Void an invoice",
    responses=good(InvoiceAnswer) | KEYED | errors(404, 409),
)
async def invoices_void(creating: Creates, invoice_id: InvoicePath, body: Void) -> Response:
    """An invoice that Stripe has is void once Stripe has voided it: until then `voiding` says how far that
    is. 409 for one that is paid: give a credit note."""
    service = creating.service

    def make() -> Created:
        asked = void_invoice(service.engine, invoice_id, body.reason, by=creating.by, now=service.now())
        service.send_invoice(asked.id)
        return _shown(service, asked.id)

    return await creating.once(make)


@router.post(
    "/{invoice_id}/credit-notes",
    summary="Give a credit note",
    status_code=201,
    responses=good(CreditNoteAnswer, 201) | PROPOSED | KEYED | errors(404, 409),
)
async def invoices_credit_note(creating: Creates, invoice_id: InvoicePath, body: NewCreditNote) -> Response:
    """At Stripe less is due then; what was paid already becomes account credit. `sending` says how far the
    note is at Stripe."""
    service = creating.service

    def make() -> Created:
        asked = {"invoice": invoice_id, **body.model_dump()}
        done = perform(service, CREDIT_NOTE, asked, by=creating.by)
        if isinstance(done, Proposal):
            return proposed(service, done)
        made, _ = done
        data = show_credit_note(service.engine, made.id)
        return Created(data, location=f"/v1/invoices/{made.invoice_id}")

    return await creating.once(make)


def _shown(service: Service, invoice_id: str) -> Created:
    data = invoice_data(service.engine, show_invoice(service.engine, invoice_id), service.now())
    return Created(data, status=200)
