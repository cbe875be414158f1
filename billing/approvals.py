"""Approving drafts: what was reviewed is issued, line by line as it was, or not at all (docs/rules.md §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from billing.billing_run import ATTEMPTS, Progress, check_month_is_over, compute, finalize
from billing.errors import BillingError, NotFound, Refused
from billing.invoices import invoice_summary, show_invoice
from billing.pricing.errors import PricingError
from billing.repository import invoices, plans, runs
from billing.repository.invoices import Invoice
from metering.database import reading
from metering.period import Month
from metering.store import EventStore


@dataclass(slots=True)
class Approval:
    """What became of a month's drafts: the invoices that were issued, and why others were not, or were not
    sent, by account."""

    month: Month
    approved: list[Invoice] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "month": str(self.month),
            "approved": [invoice_summary(each) for each in self.approved],
            "failed": [{"account": account, "message": message} for account, message in self.failed],
        }


def approve_month(
    engine: sa.Engine,
    store: EventStore,
    month: Month,
    *,
    by: str,
    now: int,
    grace_hours: int,
    only: Sequence[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> Approval:
    """Approve every draft of a month, or `only` those with these ids; one that cannot be issued does not keep
    the others from it. Raises Refused before the grace period has passed, NotFound where there is no
    draft."""
    check_month_is_over(month, now, grace_hours)
    with reading(engine) as connection:
        drafts = invoices.search(connection, month=month, status="draft")
    if not drafts:
        raise NotFound(f"{month} has no drafts; they are made by: billing run {month} --early")
    if only is not None:
        wanted = set(only)
        drafts = [each for each in drafts if each.id in wanted]
        if not drafts:
            raise NotFound(f"none of these is a draft of {month} any more; look at the drafts again")
    approval = Approval(month)
    for number, draft in enumerate(drafts):
        progress(number, len(drafts))
        try:
            approval.approved.append(
                approve_draft(engine, store, draft.id, by=by, now=now, grace_hours=grace_hours)
            )
        except (BillingError, PricingError) as error:
            approval.failed.append((draft.account, str(error)))
    progress(len(drafts), len(drafts))
    return approval


def approve_draft(
    engine: sa.Engine, store: EventStore, invoice_id: str, *, by: str, now: int, grace_hours: int
) -> Invoice:
    """Issue a draft as it was reviewed: with its cutoff, from the account's books as they stand. Raises
    NotFound, or Refused: before the grace period has passed, for an invoice that is no draft, and for a draft
    that was made before its month was over or that would have other lines now."""
    draft = show_invoice(engine, invoice_id)
    if draft.status != "draft":
        raise Refused(f"invoice {draft.number} is no draft: it is {draft.status}")
    check_month_is_over(draft.month, now, grace_hours)
    assert draft.run_id is not None, "drafts are made by billing runs"
    with reading(engine) as connection:
        run = runs.get(connection, draft.run_id)
        catalogue = plans.catalogue(connection)
    assert run is not None, "runs are never removed"
    if run.started_at < draft.month.end:
        raise _again(draft, "was drafted before the month was over")
    for _ in range(ATTEMPTS):
        computed = compute(engine, store, run, draft.account, catalogue, now)
        invoice = computed.invoice
        if invoice is None or invoice.id != draft.id or _reviewed(invoice) != _reviewed(draft):
            raise _again(draft, "has changed since it was drafted")
        approved = replace(invoice, created_at=draft.created_at, approved_by=by)
        if finalize(engine, approved, computed.entries, now):
            return show_invoice(engine, draft.id)
    raise Refused(f"the books of {draft.account} change all the time; approve invoice {draft.id} again")


def _reviewed(invoice: Invoice) -> tuple[object, ...]:
    """What a reviewer saw."""
    return (
        invoice.lines,
        invoice.total,
        invoice.plan,
        invoice.billable,
        dict(invoice.not_billed),
        invoice.run_list_sha256,
        invoice.drawn,
        invoice.replaces,
    )


def _again(draft: Invoice, why: str) -> Refused:
    return Refused(
        f"draft {draft.id} of {draft.account} {why}; draft it again and review it: "
        f"billing run {draft.month} --account {draft.account} --early"
    )
