"""/v1/reconciliations: what ran, what was invoiced, and what Stripe has, compared."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin
from billing.api.door import TheDoor
from billing.api.idempotency import Created, IdempotencyKey, once
from billing.api.openapi import KEYED, errors, good
from billing.api.params import AccountId, month_of
from billing.app import Service
from billing.errors import Refused
from billing.reconciliation.operation import reconcile

if TYPE_CHECKING:
    from metering.collecting.prefect_server import PrefectServer

router = APIRouter(prefix="/v1/reconciliations", tags=["reconciliations"])


class NewReconciliation(BaseModel):
    """Which month, and of whom."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"month": "2026-10"}]})

    month: str = Field(description="`YYYY-MM`.")
    account: AccountId | None = Field(None, description="Of one account only; the source's runs are its.")
    source: bool = Field(
        False, description="Compare with the Prefect server of BILLING_PREFECT_URL, too.", strict=True
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
async def reconciliations_make(
    request: Request,
    door: TheDoor,
    caller: Admin,
    body: NewReconciliation,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answers when it is done: Stripe's invoices are listed, which takes a second for two thousand. Without
    `fix` nothing is written anywhere."""
    service = door.service

    def make() -> Created:
        return Created(_reconcile(service, body), status=200)

    return await once(service, request, caller, idempotency_key, make)


def _reconcile(service: Service, body: NewReconciliation) -> dict[str, Any]:
    with _server(service) if body.source else nullcontext() as server:
        report = reconcile(service, month_of(body.month), account=body.account, server=server, fix=body.fix)
    return report.to_data()


def _server(service: Service) -> AbstractContextManager[PrefectServer]:
    """The configured one, never one of the caller's: it would be asked from inside, with our key."""
    from metering.collecting.prefect_server import PrefectServer

    url, key = service.settings.prefect_url, service.settings.prefect_api_key
    if url is None:
        raise Refused("no Prefect server is configured; set BILLING_PREFECT_URL", field="source")
    return PrefectServer(url, None if key is None else key.get_secret_value())
