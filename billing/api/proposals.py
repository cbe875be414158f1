"""/v1/proposals: changes that take two persons, which one asked for and another approves or refuses."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.app import Service
from billing.proposals.operation import (
    approve,
    list_proposals,
    proposal_data,
    proposal_summary,
    refuse,
    show_proposal,
)
from billing.repository.proposals import Proposal

router = APIRouter(prefix="/v1/proposals", tags=["proposals"])

ProposalPath = Annotated[str, Path(description="The proposal's id.")]


class ProposalSummary(BaseModel):
    """`summary` says in a sentence what is asked for; `sha256` is the digest of the request, which is done
    word by word. `state`: waiting, expired, refused, approved (being done, or cut short), done or failed."""

    id: str
    deed: str
    account: str | None
    summary: str
    sha256: str
    state: str
    asked_by: str
    asked_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None


class ProposalAnswer(ProposalSummary):
    """`reason` is why it was refused, `error` why it failed, `result` what came of it."""

    request: dict[str, Any]
    reason: str
    error: str | None
    result: Any


class ApproveProposal(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sha256": "9f2c…"}]})

    sha256: str | None = Field(
        None, description="The digest of the request that you looked at: another one is not approved."
    )


class RefuseProposal(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "twice too much"}]})

    reason: str = Field(description="Why; who asked reads it.")


PROPOSED = good(
    ProposalAnswer, 202, description="It takes two persons: nothing is done before another approves it."
)


def proposed(service: Service, made: Proposal) -> Created:
    """The answer of a route whose deed waits for somebody else."""
    return Created(proposal_data(made, service.now()), 202, location=f"/v1/proposals/{made.id}")


@router.get("", summary="List proposals", responses=good(list[ProposalSummary], headers=LINK_HEADER) | KEYED)
def proposals_list(
    door: TheDoor,
    _caller: Admin,
    page: Paged,
    every: Annotated[bool, Query(description="Those that were decided or expired, too.")] = False,
) -> Response:
    """Those that wait for somebody, the newest first."""
    now = door.service.now()
    found = list_proposals(door.service.engine, now, every=every, before=page.after or None, limit=page.fetch)
    return page.show(found, lambda each: each.id, lambda each: proposal_summary(each, now))


@router.get("/{proposal_id}", summary="Show a proposal", responses=good(ProposalAnswer) | KEYED | errors(404))
def proposals_show(door: TheDoor, _caller: Admin, proposal_id: ProposalPath) -> Response:
    return answer(proposal_data(show_proposal(door.service.engine, proposal_id), door.service.now()))


@router.post(
    "/{proposal_id}/approve",
    summary="Approve a proposal, and do it",
    responses=good(ProposalAnswer) | KEYED | errors(404, 409),
)
async def proposals_approve(creating: Creates, proposal_id: ProposalPath, body: ApproveProposal) -> Response:
    """409 for whoever asked. Exactly what was asked for is done, in the name of who asked; `state` is
    `failed` where it could not be, with the `error`."""
    service = creating.service

    def make() -> Created:
        done = approve(service, proposal_id, sha256_seen=body.sha256)
        return Created(proposal_data(done, service.now()), 200)

    return await creating.once(make)


@router.post(
    "/{proposal_id}/refuse",
    summary="Refuse a proposal",
    responses=good(ProposalAnswer) | KEYED | errors(404, 409),
)
async def proposals_refuse(creating: Creates, proposal_id: ProposalPath, body: RefuseProposal) -> Response:
    """Who asked may refuse it as well: so it is taken back."""
    service = creating.service

    def make() -> Created:
        return Created(proposal_data(refuse(service, proposal_id, body.reason), service.now()), 200)

    return await creating.once(make)
