"""Asking, approving and refusing: one way for every deed and every door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import sqlalchemy as sa

from billing.audit.actor import acting, actor
from billing.audit.entry import canonical, sha256
from billing.audit.trail import change, changing
from billing.billing_details import check_text
from billing.errors import BillingError, Invalid, NotFound, Refused
from billing.ids import new_id
from billing.payments.errors import PaymentError
from billing.pricing.errors import PricingError
from billing.proposals.deed import Deed, Progress, Request
from billing.proposals.persons import same_person
from billing.repository import proposals
from billing.repository.proposals import Proposal
from metering.database import reading, writing
from metering.period import HOUR_US, format_instant

if TYPE_CHECKING:
    from billing.app import Service

T = TypeVar("T")
State = Literal["waiting", "expired", "refused", "approved", "done", "failed"]

_KIND = "proposal"
_LONGEST_SUMMARY = 300


def _silent(_done: int, _total: int) -> None:
    pass


def perform(
    service: Service, deed: Deed[T], request: Request, *, by: str, progress: Progress = _silent
) -> T | Proposal:
    """Do what is asked for, if one person may; else keep it until another approves it, and answer that. Asked
    for again by the same person while it waits, it is the same proposal. Raises what the deed raises."""
    if not deed.bounded(service.settings):
        return deed.do(service, request, by, progress)
    weight = deed.weigh(service, request)
    if not weight.takes_two:
        return deed.do(service, request, by, progress)
    now, asker = service.now(), actor().name
    text = canonical(request)
    ends = now + service.settings.second_person_hours * HOUR_US
    summary = " ".join(weight.summary.split())[:_LONGEST_SUMMARY]
    made = Proposal(
        new_id("prp", now), deed.name, weight.account, summary, text, sha256(text), asker, now, ends
    )
    with writing(service.engine) as connection:
        before = proposals.waiting_for(connection, made.deed, made.request_sha256, asker, now)
        if before is not None:
            return before
        with change(connection, "proposal.asked", _KIND, made.id, now=now, account=made.account):
            proposals.add(connection, made)
    return made


def approve(service: Service, proposal_id: str, *, sha256_seen: str | None = None) -> Proposal:
    """Approve and do, in the name of who asked, exactly what was asked for. `sha256_seen`: the digest of the
    request that the approver looked at. Answers the proposal with what came of it: it may have failed, and is
    then asked for anew. Raises NotFound, or Refused for whoever asked, and what does not wait any more."""
    now, approver = service.now(), actor()
    with writing(service.engine) as connection:
        found = _waiting(connection, proposal_id, now)
        if same_person(connection, found.asked_by, approver.name):
            raise Refused(
                f"proposal {found.id} was asked for by {found.asked_by}, which is you; "
                "another operator, or a key that you did not make, approves it"
            )
        digest = sha256(found.request)
        if digest != found.request_sha256 or sha256_seen not in (None, digest):
            raise Refused(
                f"proposal {found.id} is not what you looked at; look at it, and the trail, again",
                field="sha256",
            )
        _decide(connection, found, "approved", approver.name, "", now)
    under = {"proposal": found.id, "approved_by": approver.name}
    with acting(found.asked_by, approver.request, under):
        outcome, says = _done(service, found)
    with changing(
        service.engine, f"proposal.{outcome}", _KIND, found.id, now=now, account=found.account
    ) as connection:
        proposals.finish(connection, found.id, outcome, says)
    return show_proposal(service.engine, found.id)


def refuse(service: Service, proposal_id: str, reason: str) -> Proposal:
    """It is not done, for a reason. Who asked may refuse it as well, and so takes it back. Raises NotFound,
    Invalid, Refused."""
    check_text("reason", reason)
    if not reason.strip():
        raise Invalid("say why it is refused; who asked reads it", field="reason")
    now = service.now()
    with writing(service.engine) as connection:
        found = _waiting(connection, proposal_id, now)
        _decide(connection, found, "refused", actor().name, reason.strip(), now)
    return show_proposal(service.engine, found.id)


def _done(service: Service, found: Proposal) -> tuple[str, str]:
    """What came of it. Whatever goes wrong, it is not tried again: nobody knows how far it got, and the trail
    says so."""
    from billing.proposals.deeds import DEEDS

    deed: Deed[Any] = DEEDS[found.deed]
    try:
        done = deed.do(service, json.loads(found.request), found.asked_by, _silent)
    except (BillingError, PricingError, PaymentError) as error:
        return "failed", str(error)
    return "done", canonical(deed.tell(service, done))


def _decide(
    connection: sa.Connection, found: Proposal, decision: str, by: str, reason: str, now: int
) -> None:
    deed = f"proposal.{decision}"
    with change(connection, deed, _KIND, found.id, now=now, account=found.account, reason=reason):
        if not proposals.decide(connection, found.id, decision, by, reason, now):
            raise Refused(f"proposal {found.id} was decided by somebody else just now")


def _waiting(connection: sa.Connection, proposal_id: str, now: int) -> Proposal:
    found = proposals.get(connection, proposal_id)
    if found is None:
        raise _no_proposal(proposal_id)
    state = state_of(found, now)
    if state == "expired":
        ended = format_instant(found.expires_at)
        raise Refused(f"proposal {found.id} expired at {ended}; ask for it again")
    if state != "waiting":
        raise Refused(f"proposal {found.id} was {found.decision} already, by {found.decided_by}")
    return found


def show_proposal(engine: sa.Engine, proposal_id: str) -> Proposal:
    """Raises NotFound."""
    with reading(engine) as connection:
        found = proposals.get(connection, proposal_id)
    if found is None:
        raise _no_proposal(proposal_id)
    return found


def list_proposals(
    engine: sa.Engine, now: int, *, every: bool = False, before: str | None = None, limit: int | None = None
) -> Sequence[Proposal]:
    """The newest first: those that wait, or `every` there ever was."""
    with reading(engine) as connection:
        waiting_at = None if every else now
        return proposals.search(connection, waiting_at=waiting_at, before=before, limit=limit)


def state_of(found: Proposal, now: int) -> State:
    """`approved`: being done, or cut short while it was."""
    if found.outcome is not None:
        return "done" if found.outcome == "done" else "failed"
    if found.decision is not None:
        return "refused" if found.decision == "refused" else "approved"
    return "expired" if found.expires_at <= now else "waiting"


def proposal_data(found: Proposal, now: int) -> dict[str, object]:
    """In the shape of JSON answers."""
    return proposal_summary(found, now) | {
        "request": json.loads(found.request),
        "reason": found.reason,
        "error": found.says if found.outcome == "failed" else None,
        "result": json.loads(found.says) if found.outcome == "done" else None,
    }


def proposal_summary(found: Proposal, now: int) -> dict[str, object]:
    """As lists show it."""
    return {
        "id": found.id,
        "deed": found.deed,
        "account": found.account,
        "summary": found.summary,
        "sha256": found.request_sha256,
        "state": state_of(found, now),
        "asked_by": found.asked_by,
        "asked_at": format_instant(found.asked_at),
        "expires_at": format_instant(found.expires_at),
        "decided_by": found.decided_by,
        "decided_at": None if found.decided_at is None else format_instant(found.decided_at),
    }


def _no_proposal(proposal_id: str) -> NotFound:
    return NotFound(f"there is no proposal {proposal_id!r}; see: billing proposals list --all")
