"""/v1/accounts/{id}/summary: this month so far, and what it will come to."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from billing.api.accounts import AccountPath
from billing.api.alerts import FigureAnswer
from billing.api.auth import Reader, check_account
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.shapes import NotBilled
from billing.api.usage import PastForecasts, WatermarkAnswer
from billing.summary import account_summary

router = APIRouter(prefix="/v1/accounts/{account_id}", tags=["usage"])


class FreeRuns(BaseModel):
    """Of a month; null where every run is free."""

    month: int | None
    used: int | None
    left: int | None


class BracketAnswer(BaseModel):
    """`number` counts from 1; runs `from` to `up_to` of a month are in it, both included; `up_to` and `left`
    are null where it has no end. `unit_price` in major units."""

    number: int
    from_: int = Field(alias="from")
    up_to: int | None
    unit_price: str
    left: int | None


class NextRun(BaseModel):
    """`unit_price` is what the next billable run costs, in major units. `committed`: it was paid for in
    advance; `bracket` is the one that the first run beyond those falls in."""

    committed: bool
    unit_price: str
    bracket: BracketAnswer


class RangeAnswer(BaseModel):
    """By the end of the month. `low` to `high` holds what comes four times of five; null where the history is
    too short to know."""

    expected: int
    low: int | None
    high: int | None


class ForecastAnswer(BaseModel):
    """`billable` in task runs, `amount` in minor units: the total of the invoice. `judged`: at how many days
    of the past the same rule was compared with what came, and `past` how it did; null without a range."""

    billable: RangeAnswer
    amount: RangeAnswer
    history_days: int
    judged: int
    past: PastForecasts | None


class LastMonth(BaseModel):
    """`billable` of the last month until `to`, and `billable_this_month` until the same hour of this one."""

    month: str
    to: str
    billable: int
    billable_this_month: int
    billable_whole_month: int


class DueAnswer(BaseModel):
    """An invoice that is to be paid; `url` is where, null where Stripe gave none."""

    invoice: str
    amount: int
    due_at: str | None
    dunning: str | None
    url: str | None


class SummaryAnswer(BaseModel):
    """Amounts in minor units. `plan`, `amount`, `free_runs`, `next_run` and `forecast` are null where the
    month has no price, `forecast` also where there is nothing to go by. `amount` is the total of the invoice
    if the month ended now. `credit` is what no invoice has used yet. `figures` are what alerts compare.
    `watermark` is there for an account that has sources."""

    account: str
    month: str
    currency: str
    as_of: str
    billable: int
    not_billed: NotBilled
    plan: str | None
    amount: int | None
    free_runs: FreeRuns | None
    contract: str | None
    committed_left: int | None = Field(description="Runs of grants that can be used today.")
    next_run: NextRun | None
    forecast: ForecastAnswer | None
    last_month: LastMonth
    budget: int | None
    figures: list[FigureAnswer]
    credit: int
    due: list[DueAnswer]
    watermark: WatermarkAnswer | None = None


@router.get(
    "/summary",
    summary="This month so far, and what it will come to",
    responses=good(SummaryAnswer) | KEYED | errors(404),
)
def summary(door: TheDoor, caller: Reader, account_id: AccountPath) -> Response:
    """What the customer's first page shows: usage, free runs, the bracket and the price of the next run, the
    amount so far, a forecast to the end of the month with a range, the last month to the same hour, budget
    and limits, and what is to be paid."""
    check_account(caller, account_id)
    return answer(account_summary(door.service, account_id).to_data())
