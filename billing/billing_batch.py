"""Bills accounts by the hundred: their invoices, computed by `month_readers`, are stored in one transaction.

The same invoices as one account after the other: they come from the same facts and the same function, and an
account whose books were changed meanwhile, or with which anything is out of the ordinary, is left to be
billed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
import structlog

from billing import credit_use
from billing.audit.trail import changed_many
from billing.billing_month import Computed
from billing.month_readers import Batch
from billing.notifications.telling import tell_invoices
from billing.repository import accounts, invoice_batches, invoices, outbox
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from billing.run_report import RunReport
from metering.database import writing

log = structlog.get_logger()


def bill_batch(engine: sa.Engine, run: BillingRun, batch: Batch, now: int, report: RunReport) -> list[str]:
    """Bill the accounts of a batch and note in the report what was done. The answer are those that have to be
    billed alone: for them nothing was done yet."""
    report.skipped += len(batch.ids) - len(batch.ready) - len(batch.alone)
    drafts: list[Computed] = []
    final: list[Computed] = []
    for computed in batch.ready:
        assert computed.invoice is not None, "only those that have one are ready"
        only_draft = run.early or computed.invoice.account in report.only_drafts
        (drafts if only_draft else final).append(computed)
    return [*batch.alone, *_draft(engine, drafts, report), *_finalize(engine, final, now, report)]


def _finalize(engine: sa.Engine, ready: Sequence[Computed], now: int, report: RunReport) -> list[str]:
    """Store invoices whose accounts' books are as they were read. The answer are the other accounts."""
    made = {each.invoice.account: each for each in ready if each.invoice is not None}
    stored: set[str] = set()
    if made:
        try:
            stored = finalize_many(engine, made, now)
        except sa.exc.DBAPIError as error:
            # Somebody made a draft meanwhile, or one invoice cannot be stored: nothing of the batch was.
            log.info("accounts are billed one by one", error=repr(error))
    report.finalized += len(stored)
    return [account_id for account_id in made if account_id not in stored]


def finalize_many(engine: sa.Engine, made: dict[str, Computed], now: int) -> set[str]:
    """Store invoices by account, each with its number, its use of credit and the intent to send it, where the
    account's books are as of the entry that it was computed from. The answer are the accounts whose invoice
    was stored. Raises sqlalchemy.exc.DBAPIError, and nothing is stored, if an account got another live
    invoice."""
    with writing(engine) as connection:
        taken = accounts.next_entries(connection, {account: each.entries for account, each in made.items()})
        drafted = [
            replace(each.invoice, entry=each.entries + 1)
            for account, each in made.items()
            if account in taken and each.invoice is not None
        ]
        if drafted:
            replaced = [made[account].draft for account in sorted(taken)]
            invoice_batches.delete_drafts(connection, [draft for draft in replaced if draft is not None])
            _issue(connection, drafted, now)
    return taken


def _issue(connection: sa.Connection, drafted: Sequence[Invoice], now: int) -> None:
    issued = invoice_batches.issue(connection, drafted[0].month, drafted)
    credit_use.record(connection, issued, now)
    outbox.add(connection, now, *(invoice.id for invoice in issued if invoice.total))
    tell_invoices(connection, "finalized", issued, now)
    changed_many(connection, "invoice.issued", "invoice", [invoice.id for invoice in issued], now=now, was={})


def _draft(engine: sa.Engine, ready: Sequence[Computed], report: RunReport) -> list[str]:
    """Store drafts; an account that was invoiced meanwhile is skipped. The answer are the accounts whose
    drafts could not be stored."""
    made = [each.invoice for each in ready if each.invoice is not None]
    if not made:
        return []
    try:
        with writing(engine) as connection:
            drafts = [replace(each, status="draft", issued_at=None) for each in made]
            saved = sum(invoices.save(connection, draft) for draft in drafts)
    except sa.exc.DBAPIError as error:
        log.info("accounts are drafted one by one", error=repr(error))
        return [invoice.account for invoice in made]
    report.drafted += saved
    report.skipped += len(made) - saved
    return []
