"""/v1/contracts/{id}/report and /v1/contract-invoices: what a contract came to, and what is due of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Reader
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.params import day_of
from billing.api.shapes import InvoiceSummary
from billing.contract_invoices import invoice_contracts, report_contract
from billing.invoices import invoice_summary, show_invoice
from metering.period import day_of as day_of_instant

router = APIRouter(prefix="/v1", tags=["contracts"])


class ReportMonth(BaseModel):
    """Quantities of runs; `on_demand_amount` in minor units; `balance` as the month ends."""

    month: str
    granted: int
    drawn: int
    expired: int
    on_demand: int
    on_demand_amount: int
    balance: int


class ReportInstalment(BaseModel):
    due_on: str
    grant: str
    amount: int
    invoiced: int
    status: str = Field(examples=["invoiced", "due", "upcoming"])


class ReportService(BaseModel):
    """`status` is null where there is nothing to invoice."""

    number: int
    description: str
    amount: int
    due_on: str
    invoiced: int
    status: str | None
    delivered: bool
    delivered_on: str | None


class ReportTopUp(BaseModel):
    """The runs that will be on demand, at the contract's price and at the plan's. Minor units."""

    runs: int
    price: int
    on_demand_amount: int
    saving: int


class ReportAnswer(BaseModel):
    """Quantities of runs; amounts in minor units; prices of one run in major units."""

    contract: str
    account: str
    as_of: str
    start: str
    end: str
    currency: str
    plan: str
    committed: int
    used: int
    expired: int
    remaining: int
    on_demand: int
    on_demand_amount: int
    months: list[ReportMonth]
    runs_per_day: str
    runs_out_on: str | None
    runs_out_range: list[str] | None
    expected_unused: int
    effective_unit_price: str | None
    list_unit_price: str | None
    top_up: ReportTopUp | None
    instalments: list[ReportInstalment]
    services: list[ReportService]


class NewContractInvoices(BaseModel):
    """All are optional: everything that is due by today is invoiced and sent."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"as_of": "2026-04-01"}]})

    as_of: str | None = Field(None, description="What is due by the end of this day; by default today.")
    contract: str | None = Field(None, description="Of one contract only.")
    send: bool = Field(True, description="Send the invoices to Stripe, where it is configured.")


@router.get(
    "/contracts/{contract_id}/report",
    summary="Report on a contract",
    responses={
        200: {
            "model": ReportAnswer,
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        }
    }
    | KEYED
    | errors(404),
)
def contracts_report(
    door: TheDoor,
    caller: Reader,
    contract_id: Annotated[str, Path(description="The contract.", examples=["acme-2026"])],
    as_of: Annotated[str | None, Query(description="The end of this day; by default today.")] = None,
    format: Annotated[Literal["json", "csv", "html"], Query(description="html is a page to send.")] = "json",
) -> Response:
    """Committed, used, expired and left; month by month; when it runs out at today's pace; what a run costs;
    what was invoiced and delivered."""
    service = door.service
    day = day_of(as_of, "as_of") or day_of_instant(service.now())
    report, customer = report_contract(
        service.engine, service.store, contract_id, day, account=caller.account
    )
    if format == "csv":
        name = f'attachment; filename="{contract_id}-{day}.csv"'
        return Response(report.to_csv(), media_type="text/csv", headers={"Content-Disposition": name})
    if format == "html":
        from billing.reporting.contract_page import contract_page

        return Response(contract_page(report, customer), media_type="text/html")
    return answer(report.to_data())


@router.post(
    "/contract-invoices",
    summary="Invoice what is due of contracts",
    status_code=201,
    responses=good(list[InvoiceSummary], 201) | KEYED | errors(404, 409),
)
async def contract_invoices_issue(creating: Creates, body: NewContractInvoices) -> Response:
    """One invoice a contract with anything due; answers those that were issued now. Nothing is invoiced
    twice, however often it is asked for."""
    service = creating.service

    def make() -> Created:
        day = day_of(body.as_of, "as_of") or day_of_instant(service.now())
        service.record_seller()
        made = invoice_contracts(service.engine, day, now=service.now(), contract_id=body.contract)
        if body.send:
            service.send_contracts(body.contract)
        shown = [invoice_summary(show_invoice(service.engine, each.id)) for each in made]
        return Created(shown, location="/v1/invoices")

    return await creating.once(make)
