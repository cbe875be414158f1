"""The month's closing: what to look at before, the run, the drafts, what is not done at Stripe, and the
reconciliation. What takes long goes on behind the page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.responses import Response

from billing.app import Service
from billing.console.visit import Visit, month_of
from billing.console.work import Do, Stages, report_of
from billing.errors import Invalid
from billing.month_review import check_month, draft_changes, month_state
from billing.reconciliation.operation import Reconciliation, reconcile
from billing.run_report import RunReport
from metering.period import HOUR_US, Month
from metering.sources.fields import is_account

PAGE = 50
# Of differences, beside how many each cause has.
FEW = 20
_FURTHEST = 200 * PAGE
_KINDS = ("billing-run", "drafts", "approve", "check", "reconcile")


def onto_month(visit: Visit) -> Response:
    """To the month that is to be closed next: the last one that is over."""
    asked = visit.query("month")
    return visit.go(f"months/{month_of(asked) if asked else Month.of(visit.now).previous()}")


def show(visit: Visit) -> Response:
    service, month = visit.service, visit.month
    offset = _offset(visit.query("from"))
    state = month_state(service.engine, month, limit=PAGE)
    drafts = draft_changes(service.engine, month, offset=offset, limit=PAGE + 1)
    jobs = {kind: visit.work.last(kind, str(month)) for kind in _KINDS}
    return visit.page(
        "month.html",
        month=month,
        is_over=visit.now >= month.end,
        billable_from=month.end + service.settings.grace_hours * HOUR_US,
        sums=state.sums,
        draft_count=sum(each.count for each in state.sums if each.status == "draft"),
        undone=state.undone,
        drafts=drafts[:PAGE],
        offset=offset,
        more=offset + PAGE if len(drafts) > PAGE and offset + PAGE < _FURTHEST else None,
        last_run=state.last_run,
        jobs=jobs,
        running=[each for each in jobs.values() if each is not None and each.finished_at is None],
        reports={kind: report_of(each) for kind, each in jobs.items()},
        has_stripe=service.gateway is not None,
        page_size=PAGE,
        few=FEW,
    )


def check(visit: Visit) -> Response:
    service, month = visit.service, visit.month
    return visit.begin("check", str(month), lambda _stages: check_month(service, month).to_data())


def run(visit: Visit) -> Response:
    """The month's run, of all or of one account; `early` makes drafts alone."""
    month = visit.month
    account, early = visit.field("account"), visit.field("early") == "yes"
    if account and not is_account(account):
        raise Invalid(f"account {account[:64]!r} is not an account's id", field="account")
    incomplete = visit.field("bill_incomplete") == "yes"
    do = _run_of(visit.service, month, account or None, early, incomplete)
    subject = f"{month}/{account}" if account else str(month)
    return visit.begin("drafts" if early else "billing-run", subject, do)


def _run_of(service: Service, month: Month, account: str | None, early: bool, bill_incomplete: bool) -> Do:
    def do(stages: Stages) -> dict[str, Any]:
        report: RunReport = service.run_month(
            month,
            account=account,
            early=early,
            bill_incomplete=bill_incomplete,
            progress=stages("accounts billed"),
            sending=stages("invoices sent"),
        )
        return report.figures()

    return do


def approve(visit: Visit) -> Response:
    """All drafts of the month, or those that were ticked."""
    service, month, by = visit.service, visit.month, visit.by
    every = visit.field("which") == "all"
    ticked = list(visit.form.get("draft", ()))[:PAGE]
    if not every and not ticked:
        raise Invalid("no draft is ticked; tick those to approve, or approve all", field="draft")

    def do(stages: Stages) -> dict[str, Any]:
        done = service.approve_month(
            month,
            by=by,
            only=None if every else ticked,
            progress=stages("drafts approved"),
            sending=stages("invoices sent"),
        )
        return {**done.to_data(), "approved": len(done.approved)}

    return visit.begin("approve", str(month), do)


def reconcile_(visit: Visit) -> Response:
    service, month = visit.service, visit.month
    fix = visit.field("fix") == "yes"

    def do(_stages: Stages) -> dict[str, Any]:
        found = reconcile(service, month, fix=fix)
        return {**found.to_data(), "causes": _causes(found)}

    return visit.begin("reconcile", str(month), do)


def _causes(found: Reconciliation) -> list[dict[str, Any]]:
    """How many differences each cause has, and what they come to by currency; the most first."""
    counted = Counter((each.cause, each.currency or "") for each in found.differences)
    amounts: Counter[tuple[str, str]] = Counter()
    for each in found.differences:
        amounts[each.cause, each.currency or ""] += each.amount or 0
    return [
        {"cause": cause, "currency": code, "count": count, "amount": amounts[cause, code]}
        for (cause, code), count in counted.most_common()
    ]


def _offset(text: str) -> int:
    return min(int(text), _FURTHEST) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
