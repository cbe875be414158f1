"""Disputes: to write one about the runs that were ticked, to raise it, and what became of those before."""

from __future__ import annotations

import secrets

from starlette.responses import Response

from billing.audit.actor import CUSTOMER
from billing.disputes import (
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_RUNS,
    dispute_data,
    list_disputes,
    raise_dispute,
    show_dispute,
)
from billing.errors import BillingError, Invalid, NotFound
from billing.invoices import show_invoice
from billing.pages.visit import Visit
from billing.repository.disputes import Dispute
from billing.repository.invoices import Invoice

_LIMITS = {"longest_name": LONGEST_NAME, "longest_text": LONGEST_TEXT, "most_runs": MOST_RUNS}


def list_(visit: Visit) -> Response:
    found = list_disputes(visit.service.engine, account=visit.account.id)
    shown = [(each, _number(visit, each)) for each in reversed(found)]
    return visit.page("disputes.html", disputes=shown)


def show(visit: Visit) -> Response:
    engine, store = visit.service.engine, visit.service.store
    dispute = show_dispute(engine, visit.param("dispute"), account=visit.account.id)
    runs = store.find(visit.account.id, dispute.runs, store.cutoff().position)
    return visit.page(
        "dispute.html",
        dispute=dispute,
        number=dispute_data(engine, dispute)["invoice_number"],
        runs=[runs[each] for each in dispute.runs if each in runs],
        raised=visit.query("raised") == "yes",
    )


def write(visit: Visit) -> Response:
    """The form, with the runs that were ticked; nothing is done yet."""
    return _form(visit, chosen=_ticked(visit), request=secrets.token_urlsafe(12))


def raise_(visit: Visit) -> Response:
    """Raise it, and go on to its page; on the form again where something is wrong with it."""
    try:
        dispute = raise_dispute(
            visit.service.engine,
            visit.service.store,
            visit.account.id,
            _ticked(visit),
            visit.field("message"),
            raised_by=visit.field("raised_by"),
            by=CUSTOMER,
            now=visit.service.now(),
            invoice=visit.field("invoice") or None,
            request=visit.field("request")[:LONGEST_NAME] or None,
        )
    except NotFound:
        raise
    except BillingError as error:
        return _form(visit, chosen=_ticked(visit), request=visit.field("request"), wrong=error)
    return visit.go(f"disputes/{dispute.id}?raised=yes")


def _form(visit: Visit, *, chosen: list[str], request: str, wrong: BillingError | None = None) -> Response:
    store = visit.service.store
    invoice = _invoice(visit)
    cutoff = store.cutoff().position if invoice is None or invoice.cutoff is None else invoice.cutoff
    found = store.find(visit.account.id, chosen[:MOST_RUNS], cutoff)
    return visit.page(
        "dispute_new.html",
        409 if wrong and not isinstance(wrong, Invalid) else 422 if wrong else 200,
        invoice=invoice,
        runs=[found[each] for each in chosen if each in found],
        # What is not a run of theirs is left for them to see and to mend.
        others="\n".join(each for each in chosen if each not in found),
        message=visit.field("message"),
        raised_by=visit.field("raised_by"),
        once=request,
        wrong=None if wrong is None else str(wrong),
        wrong_field=None if wrong is None else wrong.field,
        **_LIMITS,
    )


def _ticked(visit: Visit) -> list[str]:
    """The ids that were ticked, and those that were written beside them."""
    return list(dict.fromkeys([*visit.form.get("run", ()), *visit.field("others").split()]))


def _invoice(visit: Visit) -> Invoice | None:
    name = visit.field("invoice")
    if not name:
        return None
    if not name.isprintable():
        raise NotFound("there is no such invoice that was issued")
    invoice = show_invoice(visit.service.engine, name, account=visit.account.id)
    if invoice.status == "draft":
        raise NotFound(f"there is no invoice {name!r} that was issued")
    return invoice


def _number(visit: Visit, dispute: Dispute) -> str | None:
    return None if dispute.invoice is None else show_invoice(visit.service.engine, dispute.invoice).number
