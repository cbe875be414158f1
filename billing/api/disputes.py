"""/v1/disputes: what customers say is billed wrongly, and the answers."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Reader
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import AccountId
from billing.api.proposals import PROPOSED, proposed
from billing.disputes import (
    STATUSES,
    dispute_data,
    dispute_summary,
    list_disputes,
    raise_dispute,
    show_dispute,
)
from billing.proposals import Proposal, perform
from billing.proposals.deeds import ANSWER_DISPUTE

router = APIRouter(prefix="/v1/disputes", tags=["disputes"])

DisputePath = Annotated[str, Path(description="The dispute's id.")]


class DisputeSummary(BaseModel):
    """`status` is open, corrected or declined."""

    id: str
    account: str
    invoice: str | None
    status: str
    runs: int
    runs_reversed: int = Field(description="Fewer than `runs` where the dispute was partly right.")
    raised_by: str
    raised_at: str
    answered_at: str | None


class DisputeAnswer(DisputeSummary):
    invoice_number: str | None
    message: str
    task_runs: list[str]
    reversed: list[str] = Field(description="Those of `task_runs` that the answer reversed.")
    author: str
    reply: str | None
    answered_by: str | None
    unfinished: bool = Field(description="It was decided and cut short; answer it again to finish it.")


class NewDispute(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "account": "acme",
                    "invoice": "2026-10-000001",
                    "runs": ["0192d3a4-5b6c-7d8e-9f00-112233445566"],
                    "message": "a load test, which was to be free",
                    "raised_by": "ops@acme.example",
                }
            ]
        },
    )

    account: AccountId
    runs: list[str] = Field(description="1 to 1,000 ids of task runs of the account.")
    message: str = Field(description="1 to 2,000 characters.")
    raised_by: str = Field(description="Who says so, 1 to 100 characters.")
    invoice: str | None = Field(None, description="Its id or number: each run must be one that it bills.")


class Answer(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "reverse", "reply": "You are right; credited."}]},
    )

    decision: Literal["reverse", "decline"]
    reply: str = Field(description="To the customer, 1 to 2,000 characters.")
    runs: list[str] = Field([], description="Which to reverse; by default all of the dispute.")


@router.get("", summary="List disputes", responses=good(list[DisputeSummary], headers=LINK_HEADER) | KEYED)
def disputes_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="Of one account.")] = None,
    status: Annotated[str | None, Query(description=f"One of {', '.join(STATUSES)}.")] = None,
) -> Response:
    """In the order in which they were raised; a bound key sees those of its account."""
    if caller.account is not None and account not in (None, caller.account):
        return answer([])
    found = list_disputes(
        door.service.engine,
        account=caller.account or account,
        status=status,
        after=page.after,
        limit=page.fetch,
    )
    return page.show(found, lambda dispute: dispute.id, dispute_summary)


@router.get("/{dispute_id}", summary="Show a dispute", responses=good(DisputeAnswer) | KEYED | errors(404))
def disputes_show(door: TheDoor, caller: Reader, dispute_id: DisputePath) -> Response:
    engine = door.service.engine
    return answer(dispute_data(engine, show_dispute(engine, dispute_id, account=caller.account)))


@router.post(
    "",
    summary="Raise a dispute",
    status_code=201,
    responses=good(DisputeAnswer, 201) | KEYED | errors(404, 409),
)
async def disputes_raise(creating: Creates, body: NewDispute) -> Response:
    """For a customer who wrote or called; by themselves customers use their pages."""
    service = creating.service

    def make() -> Created:
        raised = raise_dispute(
            service.engine,
            service.store,
            body.account,
            body.runs,
            body.message,
            raised_by=body.raised_by,
            by=creating.by,
            now=service.now(),
            invoice=body.invoice,
        )
        return Created(dispute_data(service.engine, raised), location=f"/v1/disputes/{raised.id}")

    return await creating.once(make)


@router.post(
    "/{dispute_id}/answer",
    summary="Answer a dispute",
    responses=good(DisputeAnswer) | PROPOSED | KEYED | errors(404, 409),
)
async def disputes_answer(creating: Creates, dispute_id: DisputePath, body: Answer) -> Response:
    """`reverse` takes the runs, or some of them, back: they are no longer billed, and the next invoice
    credits them. Sent again it does nothing more; 409 if the dispute was answered in another way."""
    service = creating.service

    def make() -> Created:
        runs = body.runs if body.decision == "reverse" else None
        asked = {"dispute": dispute_id, "reply": body.reply, "reverse_runs": runs}
        answered = perform(service, ANSWER_DISPUTE, asked, by=creating.by)
        if isinstance(answered, Proposal):
            return proposed(service, answered)
        return Created(dispute_data(service.engine, answered), status=200)

    return await creating.once(make)
