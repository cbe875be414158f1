"""The meter and the invoices: what ran as we know it now, and what was billed for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from billing.pricing.adjustment import Priced
from billing.pricing.money import format_amount
from billing.reconciliation.difference import (
    LATE_EVENTS,
    NOT_ADJUSTED,
    NOT_INVOICED,
    UNASSIGNED,
    Difference,
)
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Uninvoiced:
    """An account with task runs in a month that is due, and no invoice. `amount` is what it comes to, None if
    it cannot be priced, which `problem` explains. `draft`: one is there. `void`: the number of one that was
    voided. `closed_on`: before the month."""

    account: str
    currency: str
    billable: int
    amount: int | None
    problem: str = ""
    draft: bool = False
    void: str = ""
    closed_on: date | None = None


@dataclass(frozen=True, slots=True)
class Invoiced:
    """What a month with an invoice comes to now, less what was billed for it; `seen` is how much of that the
    account's last invoice knew of. `number` is the invoice's."""

    account: str
    currency: str
    number: str
    left: Priced
    seen: Priced


def unassigned(account: str, billable: int, month: Month) -> Difference:
    """An account that is metered and that billing does not know."""
    return Difference(
        account,
        "meter-invoice",
        UNASSIGNED,
        f"{account} has {billable:,} billable task runs in {month} and no account; "
        f"add it with: billing accounts add {account} --billing-from {month}",
        quantity=billable,
    )


def not_invoiced(each: Uninvoiced, month: Month) -> Difference:
    """A month that is due and was not invoiced."""
    runs = f"{each.account} has {each.billable:,} billable task runs in {month}"
    if each.closed_on is not None:
        message = (
            f"{runs} and was closed on {each.closed_on}; stop what sends them, or reopen the account: "
            f"billing accounts reopen {each.account}"
        )
    elif each.draft:
        message = (
            f"{runs} and only a draft of their invoice; issue it: billing invoices approve --month {month}"
        )
    else:
        why = f" since {each.void} was voided" if each.void else ""
        why += f" ({each.problem})" if each.problem else ""
        message = f"{runs} and no invoice{why}; bill it: billing run {month} --account {each.account}"
    return Difference(
        each.account,
        "meter-invoice",
        NOT_INVOICED,
        message,
        quantity=each.billable,
        amount=each.amount,
        currency=each.currency if each.amount is not None else None,
    )


def not_adjusted(each: Invoiced, month: Month) -> Difference | None:
    """What is still to be adjusted of a month. A change in runs that costs nothing is settled once an invoice
    was made that knew of it: it makes no line (docs/rules.md §5)."""
    left = each.left
    if not left.amount and left.runs == each.seen.runs:
        return None
    late = left.runs != 0
    return Difference(
        each.account,
        "meter-invoice",
        LATE_EVENTS if late else NOT_ADJUSTED,
        f"{month} comes to {_change(each)}; the account's next invoice adjusts it",
        quantity=left.runs,
        amount=left.amount,
        currency=each.currency,
        invoice=each.number,
    )


def _change(each: Invoiced) -> str:
    """What a month comes to beside what was billed, and why."""
    amount, runs = each.left.amount, each.left.runs
    more = format_amount(abs(amount), each.currency)
    told = f"{more} {'more' if amount > 0 else 'less'} than was billed" if amount else "what was billed"
    if not runs:
        return f"{told} (terms were amended, a credit note of kind usage was given, or an invoice was voided)"
    noun = "task run" if abs(runs) == 1 else "task runs"
    return f"{told}, with {abs(runs):,} {noun} {'more' if runs > 0 else 'fewer'}"
