"""/v1/halves: starts of runs without an end, and ends without a start."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from billing.api.auth import Reader
from billing.api.door import TheDoor
from billing.api.openapi import KEYED, good
from billing.api.paging import LINK_HEADER, Paged
from billing.halves import half_data, waiting_halves
from metering.pairing.half import Half

router = APIRouter(prefix="/v1/halves", tags=["sources"])


class HalfAnswer(BaseModel):
    """`half` is "start" or "end": the one that came."""

    account: str
    task_run_id: str
    half: str
    at: str
    workspace: str
    flow: str
    source: str


@router.get(
    "", summary="List halves of runs that wait", responses=good(list[HalfAnswer], headers=LINK_HEADER) | KEYED
)
def halves_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="Of this account only.")] = None,
) -> Response:
    """OpenLineage states a run's start and its end apart; the run counts once both are here. The oldest
    first, up to 10,000; a bound key sees those of its account. A start without an end is a run that goes on,
    or one whose end was lost."""
    found = waiting_halves(door.service.engine, account or caller.account)
    seen = [half for half in found if caller.account in (None, half.account)]
    return page.show(page.cut(seen, _id), _id, half_data)


def _id(half: Half) -> str:
    return f"{half.at:020d}-{half.fingerprint % 2**64:016x}"
