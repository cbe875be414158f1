"""Disputes: a customer says that task runs are billed wrongly, and is always answered.

    open → corrected    some or all of the runs were reversed, which the next invoice credits
         → declined     none was; the reply says why

To answer takes several transactions, and events may be in another database. So the decision is kept first,
then the runs are reversed, which may be done any number of times, and then the dispute is answered. Whoever
is killed in between left a decision: the next who answers finishes that one, before anything else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import sqlalchemy as sa

from billing.audit.trail import change
from billing.errors import BillingError, Invalid, NotFound, Refused
from billing.ids import new_id
from billing.notifications.telling import tell_dispute
from billing.repository import accounts, disputes, invoices
from billing.repository.disputes import Decision, Dispute
from billing.repository.invoices import Invoice
from billing.terms import get_account
from metering.database import reading, writing
from metering.event import MAX_TASK_RUN_ID
from metering.outcome import Outcome
from metering.period import format_instant, format_optional
from metering.sources.fields import is_task_run_id
from metering.store import EventStore
from metering.usage import Run

_is_request = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII).fullmatch

STATUSES = ("open", "corrected", "declined")
MOST_RUNS = 1000
LONGEST_TEXT = 2000
LONGEST_NAME = 100

# Reverses task runs of an account: account, runs, reason, author. Doing it again changes nothing.
Reverse = Callable[[str, Sequence[str], str, str], object]


def raise_dispute(
    engine: sa.Engine,
    store: EventStore,
    account_id: str,
    runs: Sequence[str],
    message: str,
    *,
    raised_by: str,
    by: str,
    now: int,
    invoice: str | None = None,
    request: str | None = None,
) -> Dispute:
    """Dispute task runs of an account. With `invoice`, an id or number, each must be one that it bills.
    `raised_by` is who the customer says to be, `by` who handed it in. What has the same `request` is raised
    once. Raises NotFound, Invalid, Refused."""
    message = check_text("message", message, "say what is wrong with these task runs")
    raised_by = check_text(
        "raised_by", raised_by, "say who raises the dispute", longest=LONGEST_NAME, fine=""
    )
    wanted = _check_ids(runs)
    if request is not None and not _is_request(request):
        raise Invalid("request must be 1 to 100 characters of A-Za-z0-9_-", field="request")
    disputed = _disputed_invoice(engine, account_id, invoice)
    cutoff = store.cutoff().position if disputed is None else disputed.cutoff
    assert cutoff is not None
    _check_runs(store.find(account_id, wanted, cutoff), wanted, account_id, disputed)
    dispute = Dispute(
        new_id("dsp", now),
        account_id,
        None if disputed is None else disputed.id,
        "open",
        message,
        raised_by,
        by,
        now,
        wanted,
        request=request,
    )
    with writing(engine) as connection:
        accounts.lock(connection, account_id)  # of two that dispute the same runs one comes second
        if request is not None:
            before = disputes.of_request(connection, account_id, request)
            if before is not None:
                return before
        if already := disputes.open_about(connection, account_id, wanted):
            task_run_id, other = next(iter(already.items()))
            raise Refused(
                f"task run {task_run_id} is in dispute {other} already, which is not answered yet; "
                "leave it out",
                field="runs",
            )
        with change(connection, "dispute.raised", "dispute", dispute.id, now=now, by=by, account=account_id):
            disputes.add(connection, dispute)
        tell_dispute(connection, "raised", dispute, now)
    return dispute


def answer_dispute(
    engine: sa.Engine,
    dispute_id: str,
    *,
    reply: str,
    reverse_runs: Sequence[str] | None,
    by: str,
    now: int,
    reverse: Reverse,
) -> Dispute:
    """Answer a dispute: reverse `reverse_runs`, of those that it is about (empty: all of them), or decline
    (None). Given again after it was cut short, it is finished. Raises NotFound, Invalid, Refused."""
    reply = check_text("reply", reply, "say to the customer what you found")
    dispute = show_dispute(engine, dispute_id)
    chosen = () if reverse_runs is None else _chosen(dispute, reverse_runs)
    mine = Decision(chosen, reply, by, now)
    with writing(engine) as connection:
        dispute = _locked(connection, dispute.id)
        decision = dispute.decision or mine
        if dispute.decision is None:
            with _changed(connection, "dispute.decided", dispute, mine, now):
                disputes.decide(connection, dispute.id, mine)
    if dispute.status == "open":
        _carry_out(engine, dispute, decision, reverse, now, mine=decision is mine)
    answered = show_dispute(engine, dispute.id)
    if not decision.same(mine):
        raise Refused(
            f"dispute {dispute.id} is {answered.status} already, by {decision.by}; "
            f"see: billing disputes show {dispute.id}"
        )
    return answered


def _carry_out(
    engine: sa.Engine, dispute: Dispute, decision: Decision, reverse: Reverse, now: int, *, mine: bool
) -> None:
    if decision.reverse:
        try:
            reverse(dispute.account, decision.reverse, f"dispute {dispute.id}", decision.by)
        except BillingError:
            if mine:  # refused before anything was done: nothing was decided
                with (
                    writing(engine) as connection,
                    _changed(connection, "dispute.left_open", dispute, decision, now),
                ):
                    disputes.decide(connection, dispute.id, None)
            raise
    with writing(engine) as connection:
        if _locked(connection, dispute.id).status == "open":
            with _changed(connection, "dispute.answered", dispute, decision, now):
                disputes.finish(connection, dispute.id, decision)
            tell_dispute(connection, "answered", _locked(connection, dispute.id), now)


def _changed(
    connection: sa.Connection, deed: str, dispute: Dispute, decision: Decision, now: int
) -> AbstractContextManager[None]:
    return change(connection, deed, "dispute", dispute.id, now=now, by=decision.by, account=dispute.account)


def show_dispute(engine: sa.Engine, dispute_id: str, *, account: str | None = None) -> Dispute:
    """Of one account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        dispute = disputes.get(connection, dispute_id)
    if dispute is None or account not in (None, dispute.account):
        raise _no_dispute(dispute_id)
    return dispute


def list_disputes(
    engine: sa.Engine,
    *,
    account: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Dispute]:
    """Disputes in the order in which they were raised. Raises Invalid for a status there is not."""
    if status is not None and status not in STATUSES:
        raise Invalid(f"status {status!r} is not one of {', '.join(STATUSES)}", field="status")
    with reading(engine) as connection:
        return disputes.search(connection, account=account, status=status, after=after, limit=limit)


def dispute_data(engine: sa.Engine, dispute: Dispute) -> dict[str, object]:
    """A dispute in the shape of JSON answers."""
    number = None
    if dispute.invoice is not None:
        with reading(engine) as connection:
            invoice = invoices.get(connection, dispute.invoice)
        number = None if invoice is None else invoice.number
    return dispute_summary(dispute) | {
        "invoice_number": number,
        "message": dispute.message,
        "task_runs": list(dispute.runs),
        "reversed": list(dispute.reversed),
        "author": dispute.author,
        "reply": dispute.reply,
        "answered_by": dispute.answered_by,
        # Decided, and not carried out to the end: to be answered again.
        "unfinished": dispute.status == "open" and dispute.decision is not None,
    }


def dispute_summary(dispute: Dispute) -> dict[str, object]:
    """A dispute as lists show it."""
    return {
        "id": dispute.id,
        "account": dispute.account,
        "invoice": dispute.invoice,
        "status": dispute.status,
        "runs": len(dispute.runs),
        "runs_reversed": len(dispute.reversed),
        "raised_by": dispute.raised_by,
        "raised_at": format_instant(dispute.raised_at),
        "answered_at": format_optional(dispute.answered_at),
    }


def check_text(field: str, text: str, ask: str, *, longest: int = LONGEST_TEXT, fine: str = "\n\t") -> str:
    """The text without space around it, with lines that end in one way. Raises Invalid for one that is empty,
    too long, or holds control characters other than the `fine` ones."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise Invalid(f"{field} is empty; {ask}", field=field)
    if len(text) > longest:
        raise Invalid(f"{field} has {len(text):,} characters; shorten it to {longest:,}", field=field)
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in fine for each in text):
        raise Invalid(f"{field} holds control characters; leave them out", field=field)
    return text


def _check_ids(runs: Sequence[str]) -> tuple[str, ...]:
    wanted = set(runs)
    if not wanted:
        raise Invalid("runs is empty; name the task runs that are wrong", field="runs")
    if len(wanted) > MOST_RUNS:
        raise Invalid(
            f"runs names {len(wanted):,} task runs; dispute at most {MOST_RUNS:,} at once", field="runs"
        )
    for each in wanted:
        if not is_task_run_id(each):
            raise Invalid(
                f"runs: {each[:MAX_TASK_RUN_ID]!r} is not the id of a task run; see the run list",
                field="runs",
            )
    return tuple(sorted(wanted, key=str.encode))


def _disputed_invoice(engine: sa.Engine, account_id: str, id_or_number: str | None) -> Invoice | None:
    with reading(engine) as connection:
        get_account(connection, account_id)
        is_name = id_or_number is not None and id_or_number.isprintable()
        invoice = invoices.get(connection, str(id_or_number)) if is_name else None
    if id_or_number is None:
        return None
    if invoice is None or invoice.account != account_id or invoice.status == "draft":
        raise NotFound(
            f"there is no invoice {id_or_number!r} of {account_id} that was issued", field="invoice"
        )
    if invoice.cutoff is None:
        raise Invalid(f"invoice {invoice.number} is for a contract, and has no task runs", field="invoice")
    if invoice.status == "void":
        raise Refused(f"invoice {invoice.number} is void, and bills nothing", field="invoice")
    return invoice


def _check_runs(
    found: dict[str, Run], wanted: Sequence[str], account_id: str, invoice: Invoice | None
) -> None:
    def fits(run: Run | None) -> bool:
        if run is None or invoice is None:
            return run is not None
        in_month = invoice.month.start <= run.ended_at < invoice.month.end
        return in_month and run.outcome is Outcome.BILLABLE

    wrong = [each for each in wanted if not fits(found.get(each))]
    if wrong:
        what = f"task runs of {account_id}" if invoice is None else f"on the run list of {invoice.number}"
        raise Invalid(
            f"runs: {len(wrong):,} of {len(wanted):,} are not {what}, the first of them {wrong[0]}; "
            "leave them out",
            field="runs",
        )


def _chosen(dispute: Dispute, runs: Sequence[str]) -> tuple[str, ...]:
    if not runs:
        return dispute.runs
    others = sorted(set(runs) - set(dispute.runs))
    if others:
        raise Invalid(f"runs: {others[0]} is not in dispute {dispute.id}; leave it out", field="runs")
    return tuple(each for each in dispute.runs if each in set(runs))


def _locked(connection: sa.Connection, dispute_id: str) -> Dispute:
    dispute = disputes.get(connection, dispute_id, lock=True)
    assert dispute is not None, "disputes are never removed"
    return dispute


def _no_dispute(dispute_id: str) -> NotFound:
    return NotFound(f"there is no dispute {dispute_id!r}; see: billing disputes list")
