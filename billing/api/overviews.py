"""/v1/months, /v1/account-figures and /v1/contract-figures: what an operator looks at, as the console shows
it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from billing.account_figures import AccountFigures, account_figures
from billing.accounts import list_accounts
from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import MonthQuery, month_of
from billing.contract_figures import contract_figures
from billing.month_review import check_month, draft_changes, not_done
from metering.period import Month

router = APIRouter(prefix="/v1", tags=["overviews"])

MonthPath = Annotated[str, Path(description="`YYYY-MM`.")]
Limit = Annotated[int, Query(ge=1, le=200, description="At most so many.")]
Offset = Annotated[int, Query(ge=0, le=10_000, description="After so many.")]


class MonthCheckAnswer(BaseModel):
    """What stands in the way of closing a month, or looks odd."""

    month: str
    ok: bool
    incomplete: list[dict[str, Any]] = Field(description="Sources of accounts that are still to be billed.")
    unassigned: list[dict[str, Any]] = Field(description="Accounts that billing does not know.")
    halves: dict[str, int] = Field(description="Of runs of more than a day ago, without their other half.")
    signs: list[dict[str, Any]] = Field(description="Of misuse, as in /v1/anomalies.")


class DraftChangeAnswer(BaseModel):
    """A draft beside the usage invoice of the month before, null where there is none. Minor units."""

    id: str
    account: str
    currency: str
    plan: str
    total: int
    billable: int
    total_before: int | None
    billable_before: int | None
    change: int


class NotDoneAnswer(BaseModel):
    """What was tried at Stripe and is not done. `failed`: look at `error`, then run the month again;
    `pending`: it is tried again by itself."""

    invoice: str
    number: str | None
    account: str
    kind: str
    step: str
    status: str
    attempts: int
    next_attempt_at: str
    error: str


class TrendMonth(BaseModel):
    month: str
    billable: int


class AccountFiguresAnswer(BaseModel):
    """`amount` is the month's own price, in minor units: usage after discounts and protection, before
    adjustments, credit, instalments and tax; null for a month that is not billed."""

    account: str
    name: str
    month: str
    plan: str
    billable: int
    not_billed: int
    amount: int | None
    currency: str
    trend: list[TrendMonth]


class ContractFiguresAnswer(BaseModel):
    """As of the end of yesterday, at the pace of the last 30 days. `threshold`: the highest percentage of its
    runs of which was told, from 80 on; else 0."""

    contract: str
    account: str
    start: str
    end: str
    as_of: str
    committed: int
    remaining: int
    runs_per_day: str
    runs_out_on: str | None
    days_left: int
    threshold: int


@router.get("/months/{month}/check", summary="Check a month", responses=good(MonthCheckAnswer) | KEYED)
def months_check(door: TheDoor, _caller: Admin, month: MonthPath) -> Response:
    """Looks at every account: some seconds for millions of runs."""
    return answer(check_month(door.service, month_of(month)).to_data())


@router.get(
    "/months/{month}/drafts",
    summary="Compare drafts with the month before",
    responses=good(list[DraftChangeAnswer]) | KEYED,
)
def months_drafts(
    door: TheDoor, _caller: Admin, month: MonthPath, limit: Limit = 50, offset: Offset = 0
) -> Response:
    """The largest changes first."""
    found = draft_changes(door.service.engine, month_of(month), offset=offset, limit=limit)
    return answer([each.to_data() for each in found])


@router.get(
    "/months/{month}/unsent",
    summary="What is not done at Stripe",
    responses=good(list[NotDoneAnswer]) | KEYED,
)
def months_unsent(door: TheDoor, _caller: Admin, month: MonthPath, limit: Limit = 50) -> Response:
    """What failed first, then what is tried again by itself."""
    found = not_done(door.service.engine, month_of(month), limit=limit)
    return answer([each.to_data() for each in found])


@router.get(
    "/account-figures",
    summary="What accounts come to",
    responses=good(list[AccountFiguresAnswer], headers=LINK_HEADER) | KEYED,
)
def account_figures_list(
    door: TheDoor,
    _caller: Admin,
    page: Paged,
    month: MonthQuery = None,
    search: Annotated[str, Query(max_length=100, description="In the id or name, in any case.")] = "",
) -> Response:
    """In a month, by default this one, with the billable runs of six; in the order of their ids."""
    service = door.service
    wanted = month_of(month) if month is not None else Month.of(service.now())
    found = list_accounts(service.engine, after=page.after, limit=page.fetch, search=search)
    figures = account_figures(service.engine, service.store, found, wanted)
    return page.show(figures, lambda each: each.account.id, AccountFigures.to_data)


@router.get(
    "/contract-figures",
    summary="How running contracts stand",
    responses=good(list[ContractFiguresAnswer]) | KEYED,
)
def contract_figures_list(door: TheDoor, _caller: Admin, limit: Limit = 20, offset: Offset = 0) -> Response:
    """First those of which it was told that 80 % of their runs are used, or will be, then the next to end."""
    service = door.service
    found = contract_figures(service, now=service.now(), offset=offset, limit=limit)
    return answer([each.to_data() for each in found])
