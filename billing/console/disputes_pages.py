"""Disputes that wait, those that were answered, and the answer."""

from __future__ import annotations

from starlette.responses import Response

from billing.console.visit import Visit, paged
from billing.disputes import LONGEST_TEXT, STATUSES, dispute_data, list_disputes, show_dispute
from billing.errors import BillingError, Invalid, NotFound
from billing.proposals import Proposal, perform
from billing.proposals.deeds import ANSWER_DISPUTE

PAGE = 25
# A dispute may be about a thousand runs.
_MOST_RUNS = 1000


def list_(visit: Visit) -> Response:
    status, after = visit.query("status") or "open", visit.query("after", 80)
    found = list_disputes(
        visit.service.engine,
        status=None if status == "all" else status,
        after=after or None,
        limit=PAGE + 1,
    )
    shown, more = paged(found, PAGE, lambda last: {"status": status, "after": last.id})
    return visit.page(
        "disputes_list.html",
        disputes=shown,
        chosen=status,
        statuses=[*STATUSES, "all"],
        more=more,
        is_first=not after,
    )


def show(visit: Visit) -> Response:
    return _show(visit)


def answer(visit: Visit) -> Response:
    """Reverse the runs that are ticked, or none; the customer reads the reply."""
    try:
        decision = visit.field("decision")
        ticked = list(visit.form.get("run", ()))
        if decision not in ("reverse", "decline"):
            raise Invalid("say whether to reverse the task runs or to decline", field="decision")
        if decision == "reverse" and not ticked:
            raise Invalid("no task run is ticked; tick those to reverse, or decline", field="run")
        # The dispute says which runs there are: all of them, where all are ticked.
        asked = {
            "dispute": visit.param("dispute"),
            "reply": visit.field("reply"),
            "reverse_runs": ticked if decision == "reverse" else None,
        }
        dispute = perform(visit.service, ANSWER_DISPUTE, asked, by=visit.by)
    except NotFound:
        raise
    except BillingError as error:
        return _show(visit, 422 if isinstance(error, Invalid) else 409, error)
    return visit.go(f"{'proposals' if isinstance(dispute, Proposal) else 'disputes'}/{dispute.id}")


def _show(visit: Visit, status: int = 200, wrong: BillingError | None = None) -> Response:
    service = visit.service
    dispute = show_dispute(service.engine, visit.param("dispute"))
    runs = service.store.find(dispute.account, dispute.runs[:_MOST_RUNS], service.store.cutoff().position)
    ticked = set(visit.form.get("run", dispute.runs))
    return visit.page(
        "dispute_shown.html",
        status,
        dispute=dispute,
        data=dispute_data(service.engine, dispute),
        runs=[runs[each] for each in dispute.runs if each in runs],
        ticked=ticked,
        reply=visit.field("reply"),
        decision=visit.field("decision"),
        longest=LONGEST_TEXT,
        wrong=None if wrong is None else str(wrong),
        wrong_field=None if wrong is None else wrong.field,
    )
