"""/v1/billing-runs: a month's usage becomes invoices."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Reader
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.params import month_of
from billing.errors import NotFound
from billing.repository import runs
from billing.run_report import run_data
from metering.database import reading

router = APIRouter(prefix="/v1/billing-runs", tags=["billing runs"])


class NewRun(BaseModel):
    """Which month, and for whom."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"month": "2026-10"}]})

    month: str = Field(description="`YYYY-MM`.")
    account: str | None = Field(None, description="Of one account only.", pattern="^[A-Za-z0-9._-]{1,64}$")
    early: bool = Field(False, description="Before the month and its grace period are over: drafts only.")
    bill_incomplete: bool = Field(
        False, description="Also accounts of which a source is not complete to the month's end."
    )
    send: bool = Field(True, description="Send the invoices to Stripe, where it is configured.")


class Failed(BaseModel):
    account: str
    message: str


class Unassigned(BaseModel):
    """An account that was metered and that billing does not know."""

    account: str
    billable: int


class IncompleteSource(BaseModel):
    """A source that is not complete to the month's end; its account is left as a draft."""

    account: str
    source: str
    complete_to: str | None


class RunInvoice(BaseModel):
    account: str
    id: str
    number: str | None
    total: int
    status: str


class RunAnswer(BaseModel):
    """Quantities of accounts. The last two fields are there when the run is asked for later."""

    id: str
    month: str
    cutoff: int
    cutoff_at: str | None
    finalized: int
    drafted: int
    sent: int
    skipped: int
    failed: list[Failed]
    unassigned: list[Unassigned]
    incomplete: list[IncompleteSource]
    invoices: list[RunInvoice]
    started_at: str | None = None
    finished_at: str | None = None


@router.post(
    "",
    summary="Bill a month",
    status_code=201,
    responses=good(RunAnswer, 201) | KEYED | errors(404, 409),
)
async def billing_runs_start(creating: Creates, body: NewRun) -> Response:
    """Answers when it is done. Safe to start again: what is billed stays as it is, what was cut short goes
    on with the cutoff it began with. `incomplete` names accounts that are left as drafts, since a source of
    theirs is not complete to the month's end; `failed` names what a person must look at; 409 before the month
    and its grace period are over."""
    service = creating.service

    def make() -> Created:
        report = service.run_month(
            month_of(body.month),
            account=body.account,
            early=body.early,
            send=body.send,
            bill_incomplete=body.bill_incomplete,
        )
        return Created(report.to_data(), location=f"/v1/billing-runs/{report.id}")

    return await creating.once(make)


@router.get(
    "/{run_id}",
    summary="Show a billing run",
    responses=good(RunAnswer) | KEYED | errors(404),
)
def billing_runs_show(
    door: TheDoor, caller: Reader, run_id: Annotated[str, Path(description="The run.")]
) -> Response:
    """Its report; all zeros while `finished_at` is null. `invoices` are those of its month as they are now,
    void ones left out. A bound key sees runs of its account alone."""
    with reading(door.service.engine) as connection:
        run = runs.get(connection, run_id)
    if run is None or caller.account not in (None, run.account):
        raise NotFound(f"there is no billing run {run_id!r}")
    return answer(run_data(door.service.engine, run))
