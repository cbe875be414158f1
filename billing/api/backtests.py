"""/v1/backtests and /v1/what-if: what draft plans, or another threshold, would have made of what ran."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from billing.api.auth import Admin
from billing.api.backtest_shapes import BacktestAnswer, WhatIfAnswer
from billing.api.bodies import read_document
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.params import month_of
from billing.api.plans import plan_content
from metering.period import Month

router = APIRouter(prefix="/v1", tags=["backtests"])

# Months that are looked at where none are named.
_MONTHS = 12
_ACCOUNTS = 1000

MonthsQuery = Annotated[
    str | None,
    Query(
        description="`FROM:TO`, both included; by default the last twelve whole months.",
        examples=["2026-01:2026-12"],
    ),
]
UnbilledQuery = Annotated[bool, Query(description="Also months in which an account was not billed.")]
LimitQuery = Annotated[int, Query(ge=0, le=1_000_000, description="The most accounts to list.")]


@router.post(
    "/backtests",
    summary="Price real months under draft plans",
    openapi_extra={"requestBody": {"required": True, "content": plan_content()}},
    responses=good(BacktestAnswer) | KEYED | errors(413, 415),
)
async def backtests(
    request: Request,
    door: TheDoor,
    _caller: Admin,
    months: MonthsQuery = None,
    instead_of: Annotated[
        str | None,
        Query(description="The plan, or its version, whose accounts move; by default the draft's own."),
    ] = None,
    solve: Annotated[
        list[str] | None,
        Query(description="What keeps revenue: `free-runs`, or `price:2` for the second bracket."),
    ] = None,
    places: Annotated[int, Query(ge=0, le=12, description="Of a price that is solved for.")] = 6,
    threshold: Annotated[
        str | None, Query(description="Then, only what takes longer than so many seconds is billed.")
    ] = None,
    all_months: UnbilledQuery = False,
    limit: LimitQuery = _ACCOUNTS,
) -> Response:
    """Every account's months as they are counted today, on its own terms of each month, and with the drafts
    of the body in the place of the plans that they replace. Nothing is changed, nor loaded. Months under
    contract stay; programs and price protection are kept; currencies are never added up. Of accounts those
    come first that would pay more."""
    text, name = await read_document(request)
    from billing.backtest.operation import backtest  # with numpy, which only who asks waits for

    service = door.service
    first, last = months_of(months, service.now())

    def make() -> Response:
        report = backtest(
            service.engine,
            service.store,
            [(text, name)],
            first,
            last,
            now=service.now(),
            instead_of=instead_of,
            solve=solve or (),
            places=places,
            unbilled=all_months,
            threshold=threshold,
        )
        return answer(report.to_data(limit=limit))

    return await run_in_threadpool(make)


@router.get("/what-if", summary="Real months under another threshold", responses=good(WhatIfAnswer) | KEYED)
def what_if_(
    door: TheDoor,
    _caller: Admin,
    threshold: Annotated[
        list[str] | None,
        Query(description="Seconds; only longer runs count. Several may be given; by default 0.5 and 2."),
    ] = None,
    months: MonthsQuery = None,
    all_months: UnbilledQuery = False,
    limit: LimitQuery = _ACCOUNTS,
) -> Response:
    """How many runs would be billable and what they would bring, and how long runs took: what is gamed, or
    timed by a clock that is off, piles up next to the threshold. Reads all runs of the months."""
    from billing.backtest.thresholds import what_if

    service = door.service
    first, last = months_of(months, service.now())
    asked = threshold or ["0.5", "2"]
    found = what_if(service.engine, service.store, asked, first, last, now=service.now(), unbilled=all_months)
    return answer(found.to_data(limit=limit))


def months_of(text: str | None, now: int) -> tuple[Month, Month]:
    """Raises Invalid."""
    if text is None:
        last = first = Month.of(now).previous()
        for _ in range(_MONTHS - 1):
            first = first.previous()
        return first, last
    first_, _, last_ = text.partition(":")
    return month_of(first_, "months"), month_of(last_ or first_, "months")
