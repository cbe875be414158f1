"""From a month's usage to the invoice that is stored: pure, so that `verify` can do it again."""

from __future__ import annotations

from billing.pricing.basis import Basis
from billing.pricing.catalogue import PlanVersion
from billing.pricing.errors import AmountError
from billing.pricing.invoice import Document, compose
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from metering.period import Month
from metering.run_list import MonthUsage
from metering.usage import Counts

# Which rules decided what counts: changes when docs/rules.md §2 changes what an event says.
RULE_VERSION = "success-1"

# Amounts are kept in 64 bits with a sign.
LARGEST = 2**63


def document(account: str, currency: str, month: Month, counts: Counts, version: PlanVersion) -> Document:
    """What an account would owe for a month with these counts. Raises PricingError."""
    return compose(Basis(account, month, currency, counts, version))


def bill(
    account: Account,
    version: PlanVersion,
    usage: MonthUsage,
    run: BillingRun,
    *,
    invoice_id: str,
    replaces: str | None,
    now: int,
) -> Invoice:
    """A finalized invoice, without a number yet; `replaces` is the void one it is issued instead of. One with
    nothing to pay is paid. Raises PricingError."""
    composed = document(account.id, account.currency, run.month, usage.counts, version)
    if max([composed.total, *(abs(line.amount) for line in composed.lines)]) >= LARGEST:
        raise AmountError(
            f"{account.id} would owe more for {run.month} than can be kept; "
            f"check the prices of plan {version.id}"
        )
    return Invoice(
        id=invoice_id,
        account=account.id,
        kind="usage",
        month=run.month,
        number=None,
        status="finalized" if composed.total else "paid",
        currency=account.currency,
        plan=version.id,
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
    )


def counts_data(counts: Counts) -> dict[str, int]:
    """Counts by name, `billable` first; only those that are not zero."""
    named = {"billable": counts.billable, **counts.not_billed}
    return {name: quantity for name, quantity in named.items() if quantity}
