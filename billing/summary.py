"""An account's month so far, and what it will come to: one answer for the pages, the API and the command
line. From the counters of hours and months, so it takes as long however many events there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from billing.alerts.figures import first_day_needed, month_figures
from billing.alerts.thresholds import Figure
from billing.app import Service
from billing.billing_month import window_counts
from billing.completeness import account_watermark
from billing.invoices import each_invoice
from billing.payments.dunning import collection_data
from billing.pricing.books import Books, DailyCounts, first_month, month_counts
from billing.pricing.contract import Contract
from billing.pricing.errors import PricingError
from billing.pricing.money import format_amount, plain
from billing.pricing.outlook import MonthEnd, Outlook, outlook
from billing.repository import alerts, books, collection, credit_notes, plans
from billing.repository.accounts import Account, is_after_closing
from billing.repository.alerts import Alert
from billing.repository.collection import Collection
from billing.repository.invoices import Invoice
from billing.terms import get_account
from metering.database import reading
from metering.forecast import HISTORY_DAYS
from metering.period import DAY_US, HOUR_US, Month, day_of, day_start, format_instant
from metering.usage import Counts


@dataclass(frozen=True, slots=True)
class Comparison:
    """This month and the last one, each to the same hour of it: `to`, in the last month, or its end where it
    is shorter. `this` and `last` are billable runs to there, `whole` those of the whole last month."""

    month: Month
    to: int
    this: int
    last: int
    whole: int


@dataclass(frozen=True, slots=True)
class Due:
    """An issued invoice that is to be paid; `collected` is None before it is at Stripe. `amount` is what
    remains to be paid, tax included where Stripe said so, in minor units; `noted` is what credit notes take
    off it that are not at Stripe yet."""

    invoice: Invoice
    collected: Collection | None
    noted: int = 0

    @property
    def amount(self) -> int:
        if self.collected is not None:
            return max(self.collected.amount_remaining - self.noted, 0)
        return max(self.invoice.total - self.invoice.amount_paid - self.noted, 0)

    @property
    def pay_at(self) -> str | None:
        """Where it is paid."""
        return self.invoice.pay_at


@dataclass(frozen=True, slots=True)
class Summary:
    """A month as of `now`. `usage` are the days from `forecast.HISTORY_DAYS` before now on, and maybe more.
    `outlook` is None where the month is not priced: `unpriced` says why. `figures` are what alerts compare;
    `reached` are thresholds of this month and of its contract, newest first; `due` are invoices to be paid,
    `invoices` all that were issued, newest first. `credit` is the account's credit that no invoice has used,
    in minor units."""

    account: Account
    month: Month
    now: int
    counts: Counts
    usage: DailyCounts
    outlook: Outlook | None
    unpriced: str | None
    comparison: Comparison
    budget: int | None
    figures: tuple[Figure, ...]
    reached: tuple[Alert, ...]
    due: tuple[Due, ...]
    invoices: tuple[Invoice, ...]
    watermark: dict[str, object] | None
    credit: int = 0

    @property
    def after_closing(self) -> bool:
        """Whether the account was closed before the month began."""
        return is_after_closing(self.account, self.month)

    def money(self, amount: int) -> str:
        """An amount of the account's, as people read it."""
        return format_amount(amount, self.account.currency)

    @property
    def contract(self) -> Contract | None:
        """The one that the month is under."""
        return self.account.terms.contract(self.month)

    def figure(self, kind: str) -> Figure | None:
        """Of `budget`, `free_runs` or `commitment`."""
        return next((each for each in self.figures if each.kind == kind), None)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers: amounts in minor units, prices of a run in major ones."""
        found = self.outlook
        data: dict[str, object] = {
            "account": self.account.id,
            "month": str(self.month),
            "currency": self.account.currency,
            "as_of": format_instant(self.now),
            "billable": self.counts.billable,
            "not_billed": self.counts.not_billed,
            "plan": None if found is None else found.version.id,
            "amount": None if found is None else found.document.total,
            "free_runs": None if found is None else free_runs_data(found),
            "contract": None if self.contract is None else self.contract.id,
            "committed_left": None if found is None else found.committed_left,
            "next_run": None if found is None else next_run_data(found),
            "forecast": None if found is None else forecast_data(found),
            "last_month": {
                "month": str(self.comparison.month),
                "to": format_instant(self.comparison.to),
                "billable": self.comparison.last,
                "billable_this_month": self.comparison.this,
                "billable_whole_month": self.comparison.whole,
            },
            "budget": self.budget,
            "figures": [each.to_data() for each in self.figures],
            "credit": self.credit,
            "due": [self._due_data(each) for each in self.due],
        }
        return data | ({} if self.watermark is None else {"watermark": self.watermark})

    def _due_data(self, each: Due) -> dict[str, object]:
        held = (
            None if each.collected is None else collection_data(each.invoice.status, each.collected, self.now)
        )
        return {
            "invoice": each.invoice.number,
            "amount": each.amount,
            "due_at": None if held is None else held["due_at"],
            "dunning": None if held is None else held["dunning"],
            "url": each.pay_at,
        }


def free_runs_data(found: Outlook) -> dict[str, object]:
    """`month` and `left` are null where every run is free."""
    left = None if found.free is None or found.free_used is None else found.free - found.free_used
    return {"month": found.free, "used": found.free_used, "left": left}


def next_run_data(found: Outlook) -> dict[str, object]:
    """What the next run costs, and in which bracket. `committed`: one that was paid for in advance serves it,
    and the bracket waits."""
    at = found.standing
    return {
        "committed": found.committed_left > 0,
        "unit_price": "0" if found.committed_left else plain(at.next_price),
        "bracket": {
            "number": at.bracket,
            "from": at.lower + 1,
            "up_to": at.up_to,
            "unit_price": plain(at.next_price),
            "left": at.left_in_bracket,
        },
    }


def forecast_data(found: Outlook) -> dict[str, object] | None:
    """By the end of the month; null where there is nothing to go by. `low` and `high` hold what comes four
    times of five; null where the history is too short."""
    if found.forecast is None:
        return None
    return {
        "billable": _range_data(found, "billable"),
        "amount": _range_data(found, "total"),
        "history_days": found.forecast.history_days,
        "judged": found.forecast.judged,
        "past": None if found.forecast.past is None else found.forecast.past.to_data(),
    }


def _range_data(found: Outlook, name: str) -> dict[str, object]:
    def of(end: MonthEnd | None) -> int | None:
        return None if end is None else getattr(end, name)

    return {"expected": of(found.expected), "low": of(found.low), "high": of(found.high)}


def account_summary(service: Service, account_id: str) -> Summary:
    """Raises NotFound."""
    now = service.now()
    month, today = Month.of(now), day_of(now)
    # Asked before the counts, which may only be more complete than it says.
    watermark = account_watermark(service.engine, account_id).get("watermark")
    with reading(service.engine) as connection:
        account = get_account(connection, account_id)
        catalogue = plans.catalogue(connection)
        held = books.load(connection, account)
        chosen = alerts.settings(connection, account_id)
        collected = collection.not_collected(connection, account_id)
        noted = credit_notes.waiting(connection, account_id)
    invoices = issued_invoices(service, account_id)
    wrong = None
    if month < account.billing_from:
        wrong = f"{account_id} is billed from {account.billing_from} on"
    days = _days(service, held, month, today)
    counts, closed = month_counts(days, month), is_after_closing(account, month)
    if closed and counts.billable:  # a billing run refuses them
        wrong = f"{account_id} was closed on {account.closed_on}; what runs since then is not billed"
    found, figures = None, []
    if wrong is None:
        try:
            found = outlook(held, catalogue, month, days, today)
            if closed:
                found = replace(found, forecast=None, expected=None, low=None, high=None)
            needed = first_day_needed(account.terms, month)
            billable = {day: counts.billable for day, counts in days.items() if day >= needed}
            plain_books = Books(account.id, account.currency, account.terms)
            if not closed:
                figures = month_figures(plain_books, catalogue, billable, month, today, chosen.budget)
        except PricingError as error:
            found, wrong = None, str(error)
    contract = account.terms.contract(month)
    return Summary(
        account=account,
        month=month,
        now=now,
        counts=counts,
        usage=days,
        outlook=found,
        unpriced=wrong,
        comparison=compared(service, account_id, days, month, now),
        budget=chosen.budget,
        figures=tuple(figures),
        reached=_reached(service, account_id, [str(month), *([contract.id] if contract else [])]),
        due=tuple(
            Due(each, collected.get(each.id), noted.get(each.id, 0))
            for each in invoices
            if each.status in ("finalized", "open")
        ),
        invoices=tuple(invoices),
        watermark=watermark,
        credit=sum(each.amount for each in held.credits),
    )


def _days(service: Service, held: Books, month: Month, today: date) -> DailyCounts:
    """The days that the month's invoice and a forecast go by. Months before that, which only have a say in
    adjustments, come as one day each, their first: what a month costs is decided by its sum, except where
    committed runs are drawn by the day."""
    first, until = first_month(held, month), day_start(today) + DAY_US
    since = Month.of(day_start(today) - HISTORY_DAYS * DAY_US)
    drawn = [each.month for each in held.issued if held.terms.contract(each.month) is not None]
    if drawn or held.terms.contract(month) is not None:
        since = min(since, first)
    found = window_counts(service.store.usage(held.account, since.start, until, by="day").windows)
    if first < since:
        before = service.store.usage(held.account, first.start, since.start, by="month")
        found = {**window_counts(before.windows), **found}
    return found


def compared(service: Service, account_id: str, days: DailyCounts, month: Month, now: int) -> Comparison:
    """To the hour that began last, so that both have whole hours. `days` has those of both months."""
    last = month.previous()
    hour = now - now % HOUR_US
    to = min(last.end, last.start + (hour - month.start))

    def billable(first: int, end: int) -> int:
        """Whole days are at hand; the hours of the last one are asked for."""
        cut = end - end % DAY_US
        known = sum(counts.billable for day, counts in days.items() if first <= day_start(day) < cut)
        return known + service.store.usage(account_id, cut, end, by="day").counts.billable

    whole = month_counts(days, last).billable
    return Comparison(last, to, billable(month.start, hour), billable(last.start, to), whole)


def _reached(service: Service, account_id: str, periods: list[str]) -> tuple[Alert, ...]:
    with reading(service.engine) as connection:
        return tuple(reversed(alerts.of_account(connection, account_id, periods)))


def issued_invoices(service: Service, account_id: str) -> list[Invoice]:
    """The account's invoices, newest first. A draft is the operator's business until it is issued."""
    held = each_invoice(service.engine, account=account_id)
    return sorted(
        (each for each in held if each.status != "draft"), key=lambda each: each.number or "", reverse=True
    )
