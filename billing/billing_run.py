"""The month: usage becomes invoices. Safe to start any number of times, at once, and after a kill anywhere.

An invoice is computed from the account's books and stored in one transaction, with its number, its use of
credit and the intent to send it; if the books were changed meanwhile, it is computed anew. So of several runs
at once one bills an account, and nothing that was agreed, credited or adjusted in between is missed. A run
that was cut short resumes with the cutoff it began with (docs/rules.md §6).

Accounts are billed in batches (`billing_batch`); what does not go through in one is billed alone, here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import sqlalchemy as sa
import structlog

from billing import credit_use
from billing.audit.trail import changed_many, changing
from billing.billing_batch import bill_batch
from billing.billing_month import Computed, compute_invoice
from billing.completeness import incomplete, sources_by_account
from billing.errors import BillingError, Refused
from billing.ids import new_id
from billing.month_facts import month_facts, standings
from billing.month_readers import Asked, MonthReaders
from billing.notifications.telling import tell_invoices
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import PricingError
from billing.repository import accounts, invoices, outbox, plans, runs
from billing.repository.audited import digests
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from billing.run_report import RunReport, report_of
from billing.terms import no_account
from metering.database import reading, writing
from metering.period import HOUR_US, Month, format_instant
from metering.store import EventStore

log = structlog.get_logger()

Progress = Callable[[int, int], None]

# How often an account is billed anew because its books changed while its invoice was computed.
ATTEMPTS = 5


def run_month(
    engine: sa.Engine,
    store: EventStore,
    month: Month,
    *,
    now: int,
    grace_hours: int,
    account: str | None = None,
    early: bool = False,
    bill_incomplete: bool = False,
    readers: MonthReaders | None = None,
    progress: Progress = lambda done, total: None,
) -> RunReport:
    """Bill a month, of one account or of all; sending is the outbox's work, after this. An account of which a
    source is not complete to the month's end is named and left as a draft, unless `bill_incomplete`. Raises
    NotFound for an unknown account, Refused before the grace period has passed (unless `early`, which makes
    drafts)."""
    if not early:
        check_month_is_over(month, now, grace_hours)
    # Before the cutoff: what they say is held is then below it.
    sources = sources_by_account(engine, account)
    run = _start(engine, store, month, now, account, early)
    report = report_of(engine, run)
    if not early:
        report.incomplete = incomplete(engine, sources, month, run.cutoff)
        report.only_drafts = set() if bill_incomplete else {each.account for each in report.incomplete}
    known = _candidates(engine, store, run, report)
    with reading(engine) as connection:
        catalogue = plans.catalogue(connection)
    told = 0
    for batch in (readers or MonthReaders(engine, store)).batches(Asked(run, catalogue, now), known):
        alone = set(bill_batch(engine, run, batch, now, report))
        for candidate in batch.ids:
            progress(told, len(known))
            told += 1
            if candidate in alone:
                _bill_alone(engine, store, run, candidate, catalogue, now, report)
    progress(len(known), len(known))
    with changing(engine, "billing_run.finished", "billing_run", run.id, now=now) as connection:
        runs.finish(connection, run.id, now, json.dumps(report.figures()))
    return report


def check_month_is_over(month: Month, now: int, grace_hours: int) -> None:
    """Raises Refused before the month's grace period has passed."""
    allowed = month.end + grace_hours * HOUR_US
    if now < allowed:
        raise Refused(
            f"{month} can be billed from {format_instant(allowed)} on, when the month and its grace period "
            f"of {grace_hours} hours are over; --early makes drafts before",
            field="month",
        )


def _start(
    engine: sa.Engine, store: EventStore, month: Month, now: int, account: str | None, early: bool
) -> BillingRun:
    cutoff = store.cutoff()
    fresh = BillingRun(
        new_id("run", now), month, account, early, cutoff.position, cutoff.committed_at, started_at=now
    )
    with writing(engine) as connection:
        if account is not None and accounts.get(connection, account) is None:
            raise no_account(account)
        run = runs.start_or_resume(connection, fresh)
        # One that is resumed is as it was.
        was = {} if run.id == fresh.id else digests(connection, "billing_run", [run.id])
        changed_many(connection, "billing_run.started", "billing_run", [run.id], now=now, was=was)
        return run


def _candidates(engine: sa.Engine, store: EventStore, run: BillingRun, report: RunReport) -> list[str]:
    """The ids of the accounts that may have something to bill or adjust, those with task runs first and in
    the order in which the store reads them. Metered accounts that billing does not know are reported, never
    billed."""
    month = run.month
    metered = store.accounts_in(month.start, month.end)
    with reading(engine) as connection:
        known = accounts.ids(connection)
        invoiced = invoices.accounts_invoiced_before(connection, month)
    concerned = [account for account in metered if account in known]
    concerned += sorted((invoiced & known).difference(concerned))
    if run.account is not None:
        return [run.account] if run.account in concerned else []
    strangers = sorted(set(metered) - known)
    for account, usage in sorted(store.month_usages(strangers, month.start, month.end, run.cutoff)):
        if usage.counts.total:
            report.unassigned.append((account, usage.counts.billable))
    return concerned


def _bill_alone(
    engine: sa.Engine,
    store: EventStore,
    run: BillingRun,
    account_id: str,
    catalogue: Catalogue,
    now: int,
    report: RunReport,
) -> None:
    """Whatever becomes of the account, the others are billed."""
    try:
        _bill_account(engine, store, run, account_id, catalogue, now, report)
    except (BillingError, PricingError) as error:
        report.failed.append((account_id, str(error)))
    except sa.exc.DBAPIError:
        raise  # without the database no account can be billed
    except Exception as error:  # one account never keeps the others from being billed
        log.exception("account not billed", account=account_id, month=str(run.month))
        message = f"unexpected {type(error).__name__}: {error}; please report it"
        report.failed.append((account_id, message))


def _bill_account(
    engine: sa.Engine,
    store: EventStore,
    run: BillingRun,
    account_id: str,
    catalogue: Catalogue,
    now: int,
    report: RunReport,
) -> None:
    draft = run.early or account_id in report.only_drafts
    for _ in range(ATTEMPTS):
        done = _try_to_bill(engine, store, run, account_id, catalogue, now, draft)
        if done is not None:
            setattr(report, done, getattr(report, done) + 1)
            return
    raise Refused(
        f"the books of {account_id} change all the time; run the month again: billing run {run.month}"
    )


Done = Literal["finalized", "drafted", "skipped"]


def _try_to_bill(
    engine: sa.Engine,
    store: EventStore,
    run: BillingRun,
    account_id: str,
    catalogue: Catalogue,
    now: int,
    draft: bool,
) -> Done | None:
    """None if the account's books were changed meanwhile, and nothing was written."""
    computed = compute(engine, store, run, account_id, catalogue, now)
    if computed.invoice is None:
        if computed.draft is not None:
            _drop_draft(engine, computed.draft)
        return "skipped"
    if draft:
        return "drafted" if _store_draft(engine, computed.invoice) else "skipped"
    return "finalized" if finalize(engine, computed.invoice, computed.entries, now) else None


def compute(
    engine: sa.Engine, store: EventStore, run: BillingRun, account_id: str, catalogue: Catalogue, now: int
) -> Computed:
    """The account's invoice for a run, from its books as they stand. Raises Refused where the month cannot be
    billed, PricingError."""
    (standing,) = standings(engine, [account_id], run.month)
    if standing.is_settled(run.month):
        return Computed(None, None, standing.account.entries)
    (facts,) = month_facts(store, run, [standing])
    return compute_invoice(facts, run, catalogue, now)


def _store_draft(engine: sa.Engine, invoice: Invoice) -> bool:
    with writing(engine) as connection:
        return invoices.save(connection, replace(invoice, status="draft", issued_at=None))


def finalize(engine: sa.Engine, invoice: Invoice, entries: int, now: int) -> bool:
    """Store an invoice that was computed from the account's books as of entry `entries`, with its number, its
    use of credit and the intent to send it. False, and nothing is written, if the books have changed, or if
    an early run has made a draft of the month meanwhile."""
    with suppress(_Overtaken), writing(engine) as connection:
        entry = accounts.next_entry(connection, invoice.account, after=entries)
        if entry is None or not invoices.save(connection, replace(invoice, entry=entry)):
            raise _Overtaken  # rolls back: the number of the entry was never taken
        numbered = invoices.give_number(connection, replace(invoice, entry=entry))
        credit_use.record(connection, [numbered], now)
        if invoice.total:
            outbox.add(connection, now, invoice.id)
        tell_invoices(connection, "finalized", [numbered], now)
        issued_by = invoice.approved_by
        changed_many(connection, "invoice.issued", "invoice", [invoice.id], now=now, was={}, by=issued_by)
        return True
    return False


class _Overtaken(Exception):  # noqa: N818 - reads as what happened
    """Somebody else wrote first."""


def _drop_draft(engine: sa.Engine, draft: str) -> None:
    with writing(engine) as connection:
        invoices.delete_draft(connection, draft)
