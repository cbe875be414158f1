"""/v1/reconciliations: what ran, what was invoiced, and what Stripe has, compared."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.params import AccountId, month_of
from billing.app import Service
from billing.reconciliation.operation import Servers, reconcile
from billing.reconciliation.servers import servers_at, servers_of_sources

router = APIRouter(prefix="/v1/reconciliations", tags=["reconciliations"])


class NewReconciliation(BaseModel):
    """Which month, and of whom."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"month": "2026-10"}]})

    month: str = Field(description="`YYYY-MM`.")
    account: AccountId | None = Field(None, description="Of one account only; the source's runs are its.")
    source: bool = Field(
        False,
        description="Compare with the Prefect server of BILLING_PREFECT_URL, too; where it is not set, with "
        "those that this service collects from.",
        strict=True,
    )
    fix: bool = Field(
        False,
        description="Mend what is safe to: take over Stripe's state, send what waits, delete spare drafts.",
        strict=True,
    )


class DifferenceAnswer(BaseModel):
    """`quantity` (task runs) and `amount` (minor units) are ours less theirs: the meter's less the source's,
    the meter's less the invoice's, our invoice's less Stripe's. What does not apply is left out."""

    account: str
    between: str = Field(description="`source-meter`, `meter-invoice` or `invoice-stripe`.")
    cause: str
    message: str = Field(description="What it is, and what to do.")
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    invoice: str | None = None
    invoice_id: str | None = None
    stripe_invoice_id: str | None = None
    fixable: bool


class AmountsAnswer(BaseModel):
    currency: str
    total: int
    amount_paid: int


class ComparedAnswer(BaseModel):
    """How many of each; null where they were not compared."""

    accounts: int
    invoices: int
    at_stripe: int | None
    source_runs: int | None
    amounts: list[AmountsAnswer]


class ReconciliationAnswer(BaseModel):
    """`differences` are those that are left after fixing; `notes` say what was not compared, or not fixed."""

    month: str
    ok: bool
    differences: list[DifferenceAnswer]
    fixed: list[DifferenceAnswer]
    notes: list[str]
    compared: ComparedAnswer


@router.post(
    "",
    summary="Reconcile a month",
    responses=good(ReconciliationAnswer) | KEYED | errors(404, 409, 502),
)
async def reconciliations_make(creating: Creates, body: NewReconciliation) -> Response:
    """Answers when it is done: Stripe's invoices are listed, which takes a second for two thousand. Without
    `fix` nothing is written anywhere."""
    service = creating.service

    def make() -> Created:
        return Created(_reconcile(service, body), status=200)

    return await creating.once(make)


def _reconcile(service: Service, body: NewReconciliation) -> dict[str, Any]:
    with _servers(service, body) as servers:
        report = reconcile(service, month_of(body.month), account=body.account, servers=servers, fix=body.fix)
    return report.to_data()


def _servers(service: Service, body: NewReconciliation) -> AbstractContextManager[Servers | None]:
    """Those that are known here, never one of the caller's: it would be asked from inside, with our key."""
    if not body.source:
        return nullcontext()
    url = service.settings.prefect_url
    return servers_of_sources(service, body.account) if url is None else servers_at(service, [url])
