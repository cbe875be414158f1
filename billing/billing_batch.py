"""Bills accounts by the hundred: their books are read in a few queries, their invoices stored in one
transaction, and the next batch is read while one is computed and stored.

The same invoices as one account after the other: they come from the same facts and the same function, and an
account whose books were changed meanwhile, or with which anything is out of the ordinary, is left to be
billed alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog

from billing import credit_use
from billing.billing_month import Computed, MonthFacts, compute_invoice
from billing.month_facts import month_facts, standings
from billing.pricing.catalogue import Catalogue
from billing.repository import accounts, invoice_batches, invoices, outbox
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from billing.run_report import RunReport
from metering.database import writing
from metering.store import EventStore

log = structlog.get_logger()

# Accounts in a transaction. Others who write wait for it, for about a tenth of a second.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts and what is known of those that are to be billed; `facts` is None if that could not be read
    for all of them together."""

    ids: Sequence[str]
    facts: Sequence[MonthFacts] | None


def in_batches(engine: sa.Engine, store: EventStore, run: BillingRun, ids: Sequence[str]) -> Iterator[Batch]:
    """The accounts in their order. The next batch is read while the last one is worked on."""
    parts = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    if len(parts) <= 1:
        yield from (_read(engine, store, run, part) for part in parts)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="billing-reads-ahead") as ahead:
        reading = ahead.submit(_read, engine, store, run, parts[0])
        for following in parts[1:]:
            batch = reading.result()
            reading = ahead.submit(_read, engine, store, run, following)
            yield batch
        yield reading.result()


def _read(engine: sa.Engine, store: EventStore, run: BillingRun, ids: Sequence[str]) -> Batch:
    try:
        every = standings(engine, ids, run.month)
        return Batch(ids, month_facts(store, run, [each for each in every if not each.is_settled(run.month)]))
    except sa.exc.DBAPIError:
        raise  # without the database no account can be billed
    except Exception as error:  # one account's books never keep the others from being billed
        log.warning("accounts are read one by one", month=str(run.month), error=repr(error))
        return Batch(ids, None)


def bill_batch(
    engine: sa.Engine, run: BillingRun, batch: Batch, catalogue: Catalogue, now: int, report: RunReport
) -> list[str]:
    """Bill the accounts of a batch and note in the report what was done. The answer are those that have to be
    billed alone: for them nothing was done yet."""
    if batch.facts is None:
        return list(batch.ids)
    report.skipped += len(batch.ids) - len(batch.facts)
    alone, ready = [], []
    for facts in batch.facts:
        try:
            computed = compute_invoice(facts, run, catalogue, now)
        except Exception:  # alone, it will be said what is wrong
            alone.append(facts.standing.account.id)
            continue
        if computed.invoice is not None:
            ready.append(computed)
        elif computed.draft is not None:
            alone.append(facts.standing.account.id)
        else:
            report.skipped += 1
    drafts: list[Computed] = []
    final: list[Computed] = []
    for computed in ready:
        assert computed.invoice is not None, "only those that have one are ready"
        only_draft = run.early or computed.invoice.account in report.only_drafts
        (drafts if only_draft else final).append(computed)
    return alone + _draft(engine, drafts, report) + _finalize(engine, final, now, report)


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
