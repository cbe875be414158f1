"""From a month's basis and usage to the invoice that is stored: pure, so that `verify` can do it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from billing.errors import Refused
from billing.ids import new_id
from billing.pricing.books import Books, DailyCounts, month_basis
from billing.pricing.catalogue import Catalogue
from billing.pricing.errors import AmountError
from billing.pricing.invoice import Document, compose
from billing.repository.accounts import Account, is_after_closing
from billing.repository.invoice_batches import MonthState
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from metering.outcome import NOT_BILLED, Outcome
from metering.period import Month, day_of
from metering.run_list import MonthUsage
from metering.usage import Counts, Window

# Which rules decided what counts: changes when docs/rules.md §2 changes what an event says.
RULE_VERSION = "success-1"

# Outcomes in the order in which they are stored.
_NAMES = tuple((outcome, outcome.reason) for outcome in (Outcome.BILLABLE, *NOT_BILLED))

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


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as it stands before a month is billed: itself, its books, and what was made of the month."""

    account: Account
    books: Books
    state: MonthState

    def is_settled(self, month: Month) -> bool:
        """Whether there is nothing to bill: billing had not begun, or the invoice is issued."""
        return month < self.account.billing_from or self.state.invoiced

    def months_before(self, month: Month) -> list[Month]:
        """The earlier months that must have been run if they hold task runs: those since billing began and
        before the account was closed."""
        months, each = [], self.account.billing_from
        while each < month:
            if each not in self.state.months_run and not is_after_closing(self.account, each):
                months.append(each)
            each = each.next()
        return months


@dataclass(frozen=True, slots=True)
class Computed:
    """What a month's invoice comes to, from the account's books as of entry `entries`; None where there is
    nothing to bill, or an invoice is issued already. `draft` is the id of the one whose place it takes."""

    invoice: Invoice | None
    draft: str | None
    entries: int


@dataclass(frozen=True, slots=True)
class MonthFacts:
    """All that an account's invoice is computed from. `earlier` are the days before the month that have a say
    in it, and `usage` the month's own, both as of the run's cutoff. `not_run`: an earlier month that has task
    runs and was not run."""

    standing: Standing
    usage: MonthUsage
    earlier: DailyCounts
    not_run: Month | None


def compute_invoice(facts: MonthFacts, run: BillingRun, catalogue: Catalogue, now: int) -> Computed:
    """Raises Refused where the month cannot be billed, PricingError."""
    account, state, usage = facts.standing.account, facts.standing.state, facts.usage
    if facts.not_run is not None:
        month = facts.not_run
        raise Refused(f"{month} has task runs and was not run; run it first: billing run {month}")
    days = {**facts.earlier, **daily_counts(usage.by_day)}
    composed = compose(month_basis(facts.standing.books, catalogue, run.month, days))
    if usage.counts.total == 0 and not composed.lines:
        return Computed(None, state.draft, account.entries)
    _check_not_closed(account, run.month, usage.counts.billable)
    invoice = invoice_of(
        account,
        composed,
        usage,
        run,
        invoice_id=state.draft or new_id("inv", now),
        replaces=state.last_void,
        now=now,
    )
    return Computed(invoice, state.draft, account.entries)


def _check_not_closed(account: Account, month: Month, billable: int) -> None:
    """Nobody is billed by accident: raises Refused for usage of months after the one of the closing."""
    if is_after_closing(account, month) and billable:
        raise Refused(
            f"{account.id} was closed on {account.closed_on} and has {billable:,} billable task runs in "
            f"{month}; stop what sends them, or reopen the account: billing accounts reopen {account.id}"
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
    held = counts.by_outcome
    return {name: held[outcome] for outcome, name in _NAMES if held.get(outcome)}
