"""From a month's basis and usage to the invoice that is stored: pure, so that `verify` can do it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from billing.pricing.books import DailyCounts
from billing.pricing.errors import AmountError
from billing.pricing.invoice import Document
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from metering.period import day_of
from metering.run_list import MonthUsage
from metering.usage import Counts, Window

# Which rules decided what counts: changes when docs/rules.md §2 changes what an event says.
RULE_VERSION = "success-1"

# Amounts are kept in 64 bits with a sign.
LARGEST = 2**63


def invoice_of(
    account: Account,
    composed: Document,
    usage: MonthUsage,
    run: BillingRun,
    *,
    invoice_id: str,
    replaces: str | None,
    now: int,
) -> Invoice:
    """A finalized invoice, without a number and an entry yet; `replaces` is the void one it is issued instead
    of. One with nothing to pay is paid. Raises AmountError."""
    if max([composed.total, *(abs(line.amount) for line in composed.lines)]) >= LARGEST:
        raise AmountError(
            f"{account.id} would owe more for {run.month} than can be kept; "
            f"check the prices of plan {composed.plan}"
        )
    contract = composed.contract
    return Invoice(
        id=invoice_id,
        account=account.id,
        kind="usage",
        month=run.month,
        number=None,
        status="finalized" if composed.total else "paid",
        currency=account.currency,
        plan=composed.plan,
        rule_version=RULE_VERSION,
        run_id=run.id,
        cutoff=run.cutoff,
        cutoff_at=run.cutoff_at,
        billable=usage.counts.billable,
        not_billed=usage.counts.not_billed,
        usage_by_day={day: counts_data(counts) for day, counts in usage.by_day.items()},
        run_list_sha256=usage.run_list_sha256,
        lines=composed.lines,
        total=composed.total,
        amount_paid=0,
        created_at=now,
        issued_at=now,
        replaces=replaces,
        contract=None if contract is None else contract.contract,
        drawn=None if contract is None else contract.drawn,
        bill_to=bill_to(account),
    )


def bill_to(account: Account) -> dict[str, object]:
    """Who an invoice is made out to, to be kept with it."""
    return {"name": account.name, "email": account.email, **account.details.to_data()}


def daily_counts(by_day: Mapping[str, Counts]) -> DailyCounts:
    """The days of a month's usage."""
    return {date.fromisoformat(day): counts for day, counts in by_day.items()}


def window_counts(windows: Iterable[Window]) -> DailyCounts:
    """The days of usage that was asked for by day."""
    return {day_of(window.start): window.counts for window in windows}


def counts_data(counts: Counts) -> dict[str, int]:
    """Counts by name, `billable` first; only those that are not zero."""
    named = {"billable": counts.billable, **counts.not_billed}
    return {name: quantity for name, quantity in named.items() if quantity}
