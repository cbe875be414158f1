"""/v1/accounts/{id}/usage and /preview: what counts, what does not, and what it would cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from billing.accounts import show_account
from billing.api.accounts import AccountPath
from billing.api.auth import Reader, check_account
from billing.api.door import Door, TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.params import MonthQuery, month_of, whole_hour
from billing.api.shapes import NotBilled, Period, PreviewAnswer
from billing.completeness import account_watermark
from billing.errors import Invalid
from billing.invoices import preview
from billing.quota import quota_now
from metering.period import Month
from metering.usage import GroupBy, WindowSize, usage_data

router = APIRouter(prefix="/v1/accounts/{account_id}", tags=["usage"])


class WindowAnswer(BaseModel):
    """`workspace` or `flow` is there when the question was grouped by it."""

    start: str
    billable: int
    not_billed: NotBilled
    workspace: str | None = None
    flow: str | None = None


class SourceWatermark(BaseModel):
    """Of what this source had at `checked_at`, all that ended from `since` to `complete_to` is counted, which
    are `runs` task runs."""

    source: str
    since: str
    complete_to: str | None
    runs: int | None
    checked_at: str | None


class WatermarkAnswer(BaseModel):
    """`complete_to` is the earliest of the sources'; null if one is not known to be complete at all."""

    complete_to: str | None
    sources: list[SourceWatermark]


class UsageAnswer(BaseModel):
    """`watermark` is there for an account that has sources."""

    account: str
    period: Period
    billable: int
    not_billed: NotBilled
    watermark: WatermarkAnswer | None = None
    windows: list[WindowAnswer]


@router.get(
    "/usage",
    summary="What counts, and what does not and why",
    responses=good(UsageAnswer) | KEYED | errors(404),
)
def usage(
    door: TheDoor,
    caller: Reader,
    account_id: AccountPath,
    month: MonthQuery = None,
    from_: Annotated[
        str | None,
        Query(
            alias="from",
            description="RFC 3339, on a whole hour; by default the start of this month.",
            examples=["2026-10-03T02:00:00Z"],
        ),
    ] = None,
    to: Annotated[
        str | None,
        Query(
            description="RFC 3339, on a whole hour, itself not included; by default the end of this month."
        ),
    ] = None,
    by: Annotated[WindowSize, Query(description="The size of the windows.")] = "day",
    group_by: Annotated[GroupBy | None, Query(description="A window for each.")] = None,
) -> Response:
    """Of a month, or `[from, to)`; of this month, where neither is given. Windows without task runs are left
    out. An account that was metered before billing knew it has usage too; 404 where neither knows it."""
    check_account(caller, account_id)
    start, end = _period(door, month, from_, to)
    # Asked before the counts, which may only be more complete than it says.
    watermark = account_watermark(door.service.engine, account_id)
    found = door.service.store.usage(account_id, start, end, by=by, group_by=group_by)
    if not found.windows and not door.service.store.has_account(account_id):
        show_account(door.service.engine, account_id)
    return answer(usage_data(found) | watermark)


@router.get(
    "/preview",
    summary="What a month would cost if it ended now",
    responses=good(PreviewAnswer) | KEYED | errors(404),
)
def account_preview(
    door: TheDoor, caller: Reader, account_id: AccountPath, month: MonthQuery = None
) -> Response:
    """In the shape of an invoice, with status `preview`; of this month, where none is given."""
    check_account(caller, account_id)
    wanted = month_of(month) if month is not None else Month.of(door.service.now())
    return answer(preview(door.service.engine, door.service.store, account_id, wanted))


class PastForecasts(BaseModel):
    """How the same rule did when it was `asked` at earlier days what the next `days` would bring.
    `off_percent`: what it was off in the middle of them, up or down, in percent of usual use. `ranges`: how
    many of them had a range by what was known then, and `held` how many of those held what came. `message`
    says it in a sentence."""

    asked: int
    days: int
    off_percent: int
    ranges: int
    held: int
    message: str


class QuotaForecastAnswer(BaseModel):
    """Billable runs by the end of the month; `low` and `high` hold it four times of five, and are null where
    the history is too short, as is `past`. `judged`: at how many days of the past the same rule was compared
    with what came."""

    used: int
    low: int | None
    high: int | None
    history_days: int
    judged: int
    past: PastForecasts | None


class QuotaAnswer(BaseModel):
    """`free_left` is null where free runs never end. `left`: whether the next run is free or committed.
    `forecast` is null where it was not asked for, and where there is nothing to go by."""

    account: str
    month: str
    plan: str
    used: int
    free_left: int | None
    committed_left: int
    left: bool
    forecast: QuotaForecastAnswer | None


@router.get(
    "/quota",
    summary="Whether there is a free or committed run left",
    responses=good(QuotaAnswer) | KEYED | errors(404),
)
def quota(
    door: TheDoor,
    caller: Reader,
    account_id: AccountPath,
    forecast: Annotated[bool, Query(description="Also what is expected by the end of the month.")] = False,
) -> Response:
    """For gating, before a run is started: what is left now of this month's free runs, and of the committed
    runs that can be used today. `used` are the month's billable runs. Nothing is reserved; usage is never
    blocked."""
    check_account(caller, account_id)
    return answer(quota_now(door.service, account_id, ahead=forecast))


def _period(door: Door, month: str | None, from_: str | None, to: str | None) -> tuple[int, int]:
    if month is not None:
        if from_ is not None or to is not None:
            raise Invalid("month says it all; leave out from and to", field="month")
        wanted = month_of(month)
        return wanted.start, wanted.end
    this = Month.of(door.service.now())
    start = this.start if from_ is None else whole_hour(from_, "from")
    end = this.end if to is None else whole_hour(to, "to")
    if end < start:
        raise Invalid("to must not be before from", field="to")
    return start, end
