"""/v1/invoices/{id}/explain and /v1/accounts/{id}/preview/explain: why every line is what it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from billing.api.accounts import AccountPath
from billing.api.auth import Reader, check_account
from billing.api.door import TheDoor, answer
from billing.api.invoices import InvoicePath
from billing.api.openapi import KEYED, errors, good
from billing.api.params import MonthQuery, month_of
from billing.api.shapes import LineAnswer, NotBilled, Period
from billing.explaining.change import Driver
from billing.explaining.operation import QUICK, explain_invoice, explain_preview
from billing.explaining.steps import Operation
from metering.period import Month

router = APIRouter(tags=["invoices"])

LineQuery = Annotated[int | None, Query(alias="line", description="This line alone, counted from 1.")]


class ValueAnswer(BaseModel):
    """`unit` is `runs`, `%`, `number`, or a currency: then `value` is in its major unit."""

    value: str
    unit: str
    what: str = Field(description="What it is, in words; may be empty.")


class StepAnswer(BaseModel):
    """`result` is what `values` come to by `operation`, exactly; `text` says the same as a sentence."""

    operation: Operation
    values: list[ValueAnswer]
    result: ValueAnswer
    text: str


class ExplainedLine(LineAnswer):
    """The last step's result is `amount`, unless `agrees` is false."""

    number: int
    text: str
    steps: list[StepAnswer]
    agrees: bool


class RulesAnswer(BaseModel):
    """A task run is billed if it succeeded and took longer than `threshold_seconds`."""

    version: str
    threshold_seconds: str
    text: list[str]


class BracketAnswer(BaseModel):
    """Runs `from` to `to` of a month (null: without end), and how many of this month's fell there."""

    from_: int = Field(alias="from")
    to: int | None
    unit_price: str
    quantity: int
    exact_amount: str
    amount: int


class GrantDrawAnswer(BaseModel):
    """What was left of a grant before the month, what the month drew, and what is left after it."""

    grant: str
    granted_on: str
    expires_on: str
    before: int
    drawn: int
    left: int


class DrawnDayAnswer(BaseModel):
    day: str
    billable: int
    drawn: int
    by_grant: dict[str, int]
    on_demand: int


class ContractDraws(BaseModel):
    """`grants` and `days` are null where that is not told; `notes` say why."""

    id: str
    drawn: int | None
    on_demand: int
    grants: list[GrantDrawAnswer] | None
    days: list[DrawnDayAnswer] | None


class DriverAnswer(BaseModel):
    driver: Driver
    amount: int
    text: str


class ChangeAnswer(BaseModel):
    """Against the month before. `billed` is false where it has no invoice: `difference` is then the whole
    total. The drivers sum to `difference`."""

    text: str
    month: str
    invoice: str | None
    billed: bool
    total: int | None
    difference: int
    drivers: list[DriverAnswer]


class WorkspaceShare(BaseModel):
    """`share` is in percent of all billable runs of the month."""

    workspace: str
    billable: int
    share: str


class FlowShare(WorkspaceShare):
    flow: str


class Others(BaseModel):
    quantity: int
    billable: int


class TopAnswer(BaseModel):
    """`as_of` is `cutoff`, or `now` where counters have changed since and the month is large."""

    as_of: str
    billable: int
    workspaces: list[WorkspaceShare]
    flows: list[FlowShare]
    other_workspaces: Others
    other_flows: Others


class CheckAnswer(BaseModel):
    command: str
    text: str
    expect: str | None


class ProofAnswer(BaseModel):
    """How to check the file that `runs.csv` answers."""

    run_list_sha256: str
    file: str
    billed: int
    commands: list[CheckAnswer]


class ExplanationAnswer(BaseModel):
    """`agrees`: every line is what its calculation comes to. Of a contract's invoice there are the lines
    alone."""

    id: str | None
    number: str | None
    account: str
    kind: str
    period: Period
    currency: str
    status: str
    plan: str
    cutoff: int | None
    cutoff_at: str | None
    billable: int
    not_billed: NotBilled
    total: int
    agrees: bool
    rules: RulesAnswer | None
    rated: int = Field(description="Runs that the brackets price: those that were not paid for in advance.")
    brackets: list[BracketAnswer]
    lines: list[ExplainedLine]
    contract: ContractDraws | None
    change: ChangeAnswer | None
    top: TopAnswer | None
    proof: ProofAnswer | None
    notes: list[str]


@router.get(
    "/v1/invoices/{invoice_id}/explain",
    summary="Why an invoice is what it is",
    responses=good(ExplanationAnswer) | KEYED | errors(404),
)
def invoices_explain(
    door: TheDoor,
    caller: Reader,
    invoice_id: InvoicePath,
    line: LineQuery = None,
    exact: Annotated[
        bool,
        Query(
            description="Count as of the cutoff however many task runs have to be read for it; by default "
            f"at most {QUICK:,}."
        ),
    ] = False,
) -> Response:
    """Every line as a calculation with its numbers, the change against the month before by what caused it,
    flows and workspaces, and how to check the run list."""
    service = door.service
    most = None if exact else QUICK
    found = explain_invoice(service.engine, service.store, invoice_id, account=caller.account, most=most)
    return answer(found.to_data(line=line))


@router.get(
    "/v1/accounts/{account_id}/preview/explain",
    summary="Why a month would cost what it would",
    responses=good(ExplanationAnswer) | KEYED | errors(404),
)
def account_preview_explain(
    door: TheDoor,
    caller: Reader,
    account_id: AccountPath,
    month: MonthQuery = None,
    line: LineQuery = None,
) -> Response:
    """The same of the preview; of this month, where none is given."""
    check_account(caller, account_id)
    service = door.service
    wanted = month_of(month) if month is not None else Month.of(service.now())
    return answer(explain_preview(service.engine, service.store, account_id, wanted).to_data(line=line))
