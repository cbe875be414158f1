"""/v1/corrections: task runs that the operator reverses or restores, and the record of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Reader
from billing.api.door import TheDoor
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import AccountId, MonthQuery, month_of
from billing.api.proposals import PROPOSED, proposed
from billing.corrections import correction_data, correction_id, corrections
from billing.proposals import Proposal, perform
from billing.proposals.deeds import CORRECT

router = APIRouter(prefix="/v1/corrections", tags=["corrections"])

# Runs of one request.
MOST = 100_000


class NewCorrection(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "account": "acme",
                    "task_run_ids": ["0192d3a4-5b6c-7d8e-9f00-112233445566"],
                    "action": "reverse",
                    "reason": "wrote to the wrong table, ticket 4711",
                }
            ]
        },
    )

    account: AccountId
    task_run_ids: list[str] = Field(min_length=1, max_length=MOST)
    action: Literal["reverse", "restore"] = Field(
        description="`reverse`: they are not billed. `restore`: they count as if nothing had reversed them."
    )
    reason: str = Field(description="Why; it is kept.")


class CorrectionError(BaseModel):
    """A run that was not corrected: `index` is its place in `task_run_ids`, from 0."""

    index: int
    field: str
    message: str


class CorrectedAnswer(BaseModel):
    """`unchanged` runs were, or were not, reversed already: nothing was recorded for them. `errors` are the
    first 100 of those that `failed`."""

    account: str
    action: str
    corrected: int
    unchanged: int
    failed: int
    errors: list[CorrectionError]


class CorrectionAnswer(BaseModel):
    id: str
    account: str
    task_run_id: str
    action: str
    reason: str
    author: str
    recorded_at: str


@router.post(
    "",
    summary="Reverse or restore task runs",
    responses=good(CorrectedAnswer) | PROPOSED | KEYED | errors(404, 409),
)
async def corrections_add(creating: Creates, body: NewCorrection) -> Response:
    """The operator's own word on task runs: it holds whatever their events say, now and later, until the next
    one. Usage shows it at once; an invoiced month is adjusted on the next invoice. A run that is not held is
    an error, and the others are corrected."""
    service = creating.service

    def make() -> Created:
        asked = body.model_dump() | {"author": None}
        done = perform(service, CORRECT, asked, by=creating.by)
        if isinstance(done, Proposal):
            return proposed(service, done)
        return Created(done.to_data(), status=200)

    return await creating.once(make)


@router.get(
    "",
    summary="List corrections",
    responses=good(list[CorrectionAnswer], headers=LINK_HEADER) | KEYED,
)
def corrections_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="Of this account only.")] = None,
    run: Annotated[str | None, Query(description="Of this task run only.")] = None,
    month: MonthQuery = None,
) -> Response:
    """In the order in which they were recorded; `month` is that in which they were. A bound key sees those of
    its account."""
    wanted = account or caller.account
    found = (
        list(
            corrections(
                door.service.engine,
                account=wanted,
                task_run_id=run,
                month=None if month is None else month_of(month),
                after=page.after,
                limit=page.fetch,
            )
        )
        if caller.account in (None, wanted)
        else []
    )
    return page.show(found, correction_id, correction_data)
