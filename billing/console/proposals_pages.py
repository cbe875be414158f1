"""Changes that take two persons: what waits, what it is word by word, and the button."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from billing.console.visit import Visit
from billing.errors import BillingError, Invalid, NotFound
from billing.proposals.operation import approve as approve_it
from billing.proposals.operation import list_proposals, show_proposal, state_of
from billing.proposals.operation import refuse as refuse_it

PAGE = 25
# Of a long request the beginning is shown; its digest is of all of it.
SHOWN = 1_500


def list_(visit: Visit) -> Response:
    every, before = visit.query("which") == "all", visit.query("before", 80)
    found = list_proposals(
        visit.service.engine, visit.now, every=every, before=before or None, limit=PAGE + 1
    )
    more = None
    if len(found) > PAGE:
        more = "?" + urlencode({"which": "all" if every else "", "before": found[PAGE - 1].id})
    return visit.page(
        "proposals.html",
        proposals=[(each, state_of(each, visit.now)) for each in found[:PAGE]],
        every=every,
        more=more,
        is_first=not before,
    )


def show(visit: Visit) -> Response:
    return _show(visit)


def approve(visit: Visit) -> Response:
    """The form carries the digest of what the page showed: nothing else is approved."""
    return _decide(visit, lambda: approve_it(visit.service, _id(visit), sha256_seen=visit.field("sha256")))


def refuse(visit: Visit) -> Response:
    return _decide(visit, lambda: refuse_it(visit.service, _id(visit), visit.field("reason")))


def _decide(visit: Visit, do: Any) -> Response:
    try:
        do()
    except NotFound:
        raise
    except BillingError as error:
        return _show(visit, 422 if isinstance(error, Invalid) else 409, str(error))
    return visit.go(f"proposals/{_id(visit)}")


def _id(visit: Visit) -> str:
    return visit.param("proposal")


def _show(visit: Visit, status: int = 200, wrong: str | None = None) -> Response:
    found = show_proposal(visit.service.engine, _id(visit))
    return visit.page(
        "proposal_shown.html",
        status,
        proposal=found,
        state=state_of(found, visit.now),
        asked=found.request[:SHOWN],
        cut=len(found.request) > SHOWN,
        wrong=wrong,
        reason=visit.field("reason"),
    )
