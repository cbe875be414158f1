"""The month: usage becomes invoices. Safe to start any number of times, at once, and after a kill anywhere.

Each account is billed in one transaction that stores the invoice, gives its number and puts the intent to
send it into the outbox. The database allows one live usage invoice an account and month, so whoever comes
second finds it done. A run that was cut short resumes with the cutoff it began with (docs/rules.md §6).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
import structlog

from billing.accounts import no_account
from billing.billing_month import bill
from billing.errors import BillingError, Refused
from billing.ids import new_id
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import PricingError
from billing.repository import accounts, invoices, outbox, plans, runs
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from metering.database import reading, writing
from metering.outcome import Outcome
from metering.period import HOUR_US, Month, format_instant
from metering.run_list import month_usage
from metering.store import EventStore

log = structlog.get_logger()

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class RunReport:
    """What a billing run did. Quantities of accounts; `failed` and `unassigned` in the order of accounts."""

    id: str
    month: Month
    cutoff: int
    cutoff_at: int | None
    finalized: int = 0
    drafted: int = 0
    sent: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    unassigned: list[tuple[str, int]] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)

    def to_data(self) -> dict[str, object]:
        """The report in the shape of JSON answers."""
        return {
            "id": self.id,
            "month": str(self.month),
            "cutoff": self.cutoff,
            "cutoff_at": None if self.cutoff_at is None else format_instant(self.cutoff_at),
            "finalized": self.finalized,
            "drafted": self.drafted,
            "sent": self.sent,
            "skipped": self.skipped,
            "failed": [{"account": account, "message": message} for account, message in self.failed],
            "unassigned": [{"account": account, "billable": count} for account, count in self.unassigned],
            "invoices": [
                {"account": each.account, "id": each.id, "number": each.number, "total": each.total}
                | {"status": each.status}
                for each in self.invoices
            ],
        }


def run_month(
    engine: sa.Engine,
    store: EventStore,
    month: Month,
    *,
    now: int,
    grace_hours: int,
    account: str | None = None,
    early: bool = False,
    progress: Progress = lambda done, total: None,
) -> RunReport:
    """Bill a month, of one account or of all; sending is the outbox's work, after this. Raises NotFound for
    an unknown account, Refused before the grace period has passed (unless `early`, which makes drafts)."""
    if not early:
        _check_month_is_over(month, now, grace_hours)
    run = _start(engine, store, month, now, account, early)
    report = RunReport(run.id, month, run.cutoff, run.cutoff_at)
    known = _candidates(engine, store, run, report)
    with reading(engine) as connection:
        catalogue = plans.catalogue(connection)
    for done, candidate in enumerate(known):
        progress(done, len(known))
        try:
            _bill_account(engine, store, run, candidate, catalogue, now, report)
        except (BillingError, PricingError) as error:
            report.failed.append((candidate.id, str(error)))
        except sa.exc.DBAPIError:
            raise  # without the database no account can be billed
        except Exception as error:  # one account never keeps the others from being billed
            log.exception("account not billed", account=candidate.id, month=str(month))
            message = f"unexpected {type(error).__name__}: {error}; please report it"
            report.failed.append((candidate.id, message))
    progress(len(known), len(known))
    with writing(engine) as connection:
        report.invoices = [
            invoice
            for invoice in invoices.search(connection, account=account, month=month)
            if invoice.kind == "usage" and invoice.status != "void"
        ]
        runs.finish(connection, run.id, now, json.dumps(report.to_data()))
    return report


def _check_month_is_over(month: Month, now: int, grace_hours: int) -> None:
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
        return runs.start_or_resume(connection, fresh)


def _candidates(engine: sa.Engine, store: EventStore, run: BillingRun, report: RunReport) -> list[Account]:
    """The accounts to bill. Metered accounts that billing does not know are reported, never billed."""
    metered = store.counts_by_account(run.month.start, run.month.end)
    with reading(engine) as connection:
        known = {each.id: each for each in accounts.every(connection)}
    if run.account is not None:
        return [known[run.account]] if run.account in metered else []
    for account in sorted(metered.keys() - known.keys()):
        usage = month_usage(store.runs(account, run.month.start, run.month.end, run.cutoff))
        if usage.counts.total:
            report.unassigned.append((account, usage.counts.billable))
    return [known[account] for account in sorted(metered.keys() & known.keys())]


def _bill_account(
    engine: sa.Engine,
    store: EventStore,
    run: BillingRun,
    account: Account,
    catalogue: Catalogue,
    now: int,
    report: RunReport,
) -> None:
    with reading(engine) as connection:
        live = invoices.live_usage_invoice(connection, account.id, run.month)
        replaces = invoices.last_void(connection, account.id, run.month)
    if run.month < account.billing_from or (live is not None and live.status != "draft"):
        report.skipped += 1
        return
    _check_earlier_months(engine, store, run, account)
    usage = month_usage(store.runs(account.id, run.month.start, run.month.end, run.cutoff))
    if usage.counts.total == 0:
        report.skipped += 1
        if live is not None:
            _drop_draft(engine, live)
        return
    _check_not_billed_later(engine, store, run, account)
    version = catalogue.get(account.enrolment(run.month).plan_id)
    invoice_id = new_id("inv", now) if live is None else live.id
    invoice = bill(account, version, usage, run, invoice_id=invoice_id, replaces=replaces, now=now)
    if run.early:
        report.drafted += _store_draft(engine, invoice)
    elif _finalize(engine, invoice, now):
        report.finalized += 1
    else:
        report.skipped += 1


def _check_earlier_months(engine: sa.Engine, store: EventStore, run: BillingRun, account: Account) -> None:
    """Months are run in order: raises Refused if an earlier one, since billing began, holds task runs and was
    never run."""
    with reading(engine) as connection:
        done = invoices.months_with_usage_invoice(connection, account.id)
    begin = account.billing_from
    if begin >= run.month:
        return
    before = store.usage(account.id, begin.start, run.month.start, by="month")
    missing = [
        month
        for window in before.windows
        if (month := Month.of(window.start)) not in done and window.counts.total
    ]
    if missing:
        raise Refused(f"{missing[0]} has task runs and was not run; run it first: billing run {missing[0]}")


def _check_not_billed_later(engine: sa.Engine, store: EventStore, run: BillingRun, account: Account) -> None:
    """A run is billed at most once, ever. An event that came late may have moved runs into this month that
    the invoice of a later month bills already: raises Refused then."""
    with reading(engine) as connection:
        later = invoices.live_after(connection, account.id, run.month)
    for invoice in later:
        theirs = store.runs(account.id, invoice.month.start, invoice.month.end, invoice.cutoff)
        billed = {each.task_run_id for each in theirs if each.outcome is Outcome.BILLABLE}
        ours = store.runs(account.id, run.month.start, run.month.end, run.cutoff)
        twice = sum(each.outcome is Outcome.BILLABLE and each.task_run_id in billed for each in ours)
        if twice:
            raise Refused(
                f"{twice:,} task runs that late events moved into {run.month} are billed by invoice "
                f"{invoice.number} already; void that invoice, run {run.month}, then {invoice.month} again"
            )


def _store_draft(engine: sa.Engine, invoice: Invoice) -> bool:
    with writing(engine) as connection:
        return invoices.save(connection, replace(invoice, status="draft", issued_at=None))


def unrun_months(engine: sa.Engine, store: EventStore, due: Month, *, look_back: int) -> list[Month]:
    """The months up to `due`, in order and at most so many, in which an account that is billed has task runs
    and no invoice, be it void: those that were never run for it, or failed."""
    months = [due]
    while len(months) < look_back:
        months.append(months[-1].previous())
    with reading(engine) as connection:
        known = {each.id: each.billing_from for each in accounts.every(connection)}
        invoiced = invoices.invoiced_since(connection, months[-1])
    return [month for month in reversed(months) if _is_unrun(store, month, known, invoiced)]


def _is_unrun(
    store: EventStore, month: Month, known: Mapping[str, Month], invoiced: set[tuple[str, Month]]
) -> bool:
    if all(billing_from > month for billing_from in known.values()):
        return False
    return any(
        counts.total and account in known and known[account] <= month and (account, month) not in invoiced
        for account, counts in store.counts_by_account(month.start, month.end).items()
    )


def _drop_draft(engine: sa.Engine, draft: Invoice) -> None:
    with writing(engine) as connection:
        invoices.delete_draft(connection, draft.id)


def _finalize(engine: sa.Engine, invoice: Invoice, now: int) -> bool:
    with writing(engine) as connection:
        if not invoices.save(connection, invoice):
            return False
        invoices.give_number(connection, invoice)
        if invoice.total:
            outbox.add(connection, invoice.id, now)
        return True
