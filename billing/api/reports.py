"""/v1/months/{month}/revenue: what finance asks of a month."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.params import AccountId, day_of, month_of
from billing.revenue.operation import revenue_report

router = APIRouter(prefix="/v1/months", tags=["reports"])

Amounts = dict[str, int]


class InvoicedAnswer(BaseModel):
    """Issued in the month, before tax. `voided`: below 0, of whatever month the invoices were. `of_month`:
    what the invoices of the month's usage come to, whenever they were issued."""

    invoices: int
    usage: int
    contracts: int
    voided: int
    tax: int
    invoices_of_month: int
    of_month: int


class CreditedAnswer(BaseModel):
    """`credit`: rows of customers' credit by kind, with their signs."""

    credit_notes: int
    notes: int
    credit: Amounts
    credit_balance: int


class PaidAnswer(BaseModel):
    payments: int
    amount: int
    settled_at_stripe: int
    refunds: int


class ContractRevenueAnswer(BaseModel):
    """`closing` above 0: invoiced and not earned; below: earned and not invoiced. `is_final`: the month was
    billed, and the figures stay."""

    contract: str
    account: str
    opening: int
    invoiced: int
    voided: int
    drawn: int
    expired: int
    services: int
    closing: int
    drawn_runs: int
    expired_runs: int
    is_final: bool


class DeferredAnswer(BaseModel):
    """opening + invoiced − voided − drawn − expired − services = closing = deferred_revenue −
    unbilled_commitments."""

    opening: int
    invoiced: int
    voided: int
    drawn: int
    expired: int
    services: int
    closing: int
    deferred_revenue: int
    unbilled_commitments: int
    contracts: list[ContractRevenueAnswer]


class NotBilledAnswer(BaseModel):
    """By reason: runs, and what they would have added by the plans' schedules."""

    runs: dict[str, int]
    value: Amounts
    total: int


class TieAnswer(BaseModel):
    name: str
    documents: int
    journal: int
    ok: bool


class CurrencyAnswer(BaseModel):
    currency: str
    invoiced: InvoicedAnswer
    credited: CreditedAnswer
    paid: PaidAnswer
    outstanding: Amounts = Field(description="By days past due, as of `as_of`, tax included.")
    revenue: Amounts = Field(description="By account of the journal; what lessens it is below 0.")
    discounts: Amounts = Field(description="By program.")
    deferred: DeferredAnswer
    unbilled_usage: int
    not_billed: NotBilledAnswer
    ties: list[TieAnswer]


class RevenueAnswer(BaseModel):
    """Amounts in minor units. `ok`: every tie holds, all accounts are invoiced, and nothing is `unsettled`:
    contracts whose month was not billed yet."""

    month: str
    through: str
    as_of: str
    ok: bool
    journal_entries: int
    not_invoiced: list[str]
    unsettled: list[str]
    unassigned: list[dict[str, str | int]] = Field(
        description="Accounts that billing does not know, with their billable runs: nobody's revenue yet."
    )
    currencies: list[CurrencyAnswer]


@router.get(
    "/{month}/revenue",
    summary="The revenue report of a month",
    responses=good(RevenueAnswer) | KEYED | errors(404),
)
def revenue(
    door: TheDoor,
    _caller: Admin,
    month: Annotated[str, Path(description="A month, `YYYY-MM`.", examples=["2026-10"])],
    as_of: Annotated[
        str | None, Query(description="What is open as of the end of this day; by default the month's last.")
    ] = None,
    account: Annotated[AccountId | None, Query(description="Of one account only.")] = None,
) -> Response:
    """Invoiced, credited, paid, outstanding by age, earned, deferred, and what was not billed; each beside
    the journal (`GET /v1/exports/journal`)."""
    wanted, day = month_of(month), day_of(as_of, "as_of")
    return answer(revenue_report(door.service, wanted, as_of=day, account=account).to_data())
