"""/v1/anomalies: signs of misuse in a month, for the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from billing.anomalies import find_anomalies
from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.params import AccountId, MonthQuery, month_of
from metering.period import Month
from metering.signs import Kind

router = APIRouter(prefix="/v1/anomalies", tags=["anomalies"])


class NormAnswer(BaseModel):
    """What is usual: the median share of so many months or accounts `compared`, their spread (log odds), and
    the share from which on this account's is far."""

    median: float
    limit: float
    spread: float
    compared: int


class SignAnswer(BaseModel):
    """`runs` of `of` show the sign, `excess` of them beyond what is usual. Of back-dated runs, `after_month`
    were handed in after the month; `younger_ids` counts ids made after their run ended. `value`: the most
    that is at stake, in minor units; null for an account that is metered and not billed."""

    account: str
    kind: Kind
    share: float
    runs: int
    of: int
    excess: int
    far_from: list[str] = Field(
        description="`own`: its own past; `others`: the other accounts; `chance`: neither is known."
    )
    own_past: NormAnswer | None
    others: NormAnswer | None
    after_month: int
    younger_ids: int
    shared_with: list[str]
    value: int | None
    currency: str | None
    plan: str | None
    message: str
    look: str = Field(description="A command that shows more.")


class AnomaliesAnswer(BaseModel):
    """`accounts` have runs in the month and were compared; `ok`: there are no signs."""

    month: str
    ok: bool
    accounts: int
    signs: list[SignAnswer]


@router.get("", summary="Signs of misuse in a month", responses=good(AnomaliesAnswer) | KEYED | errors(404))
def anomalies(
    door: TheDoor,
    caller: Admin,
    month: MonthQuery = None,
    account: Annotated[AccountId | None, Query(description="Of one account only.")] = None,
) -> Response:
    """Accounts whose runs are cached, rolled back, up to a second long, handed in late, or another account's,
    far more than usual; the most valuable first. Of this month, where none is given. Figures to look at,
    never an accusation: honest causes look the same. Takes a second or two for a million runs."""
    wanted = month_of(month) if month is not None else Month.of(door.service.now())
    return answer(find_anomalies(door.service, wanted, account).to_data())
