"""What a month has come to and what it will come to: the invoice as of now, where the next run stands in the
plan, and the same month priced with the runs that are expected: pure (docs/decisions/0022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from billing.pricing.books import Books, DailyCounts, billable_by_day, month_basis, own_basis
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.days import first_day
from billing.pricing.invoice import Document, compose
from billing.pricing.quota import allowance, quota
from billing.pricing.rating import Standing, standing
from metering.forecast import Forecast, forecast
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """What a month comes to by its end: billable runs, and the invoice's total in minor units."""

    billable: int
    total: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """A month as of a day of it. `document` is the invoice if it ended now; `version` prices it. `standing`
    is where the next run that the plan prices stands; `committed_left` are runs of grants that can be used
    today, which come before it. `free` are the runs a month that cost nothing (None: every run), `free_used`
    how many of them are used.

    `forecast` is None where there is nothing to go by, and `expected` with it; `low` and `high`, the edges of
    a range, are None where the history is too short."""

    document: Document
    version: PlanVersion
    standing: Standing
    committed_left: int
    free: int | None
    free_used: int | None
    forecast: Forecast | None
    expected: MonthEnd | None
    low: MonthEnd | None
    high: MonthEnd | None

    @property
    def rated(self) -> int:
        """The month's runs that the plan prices: under contract those on demand."""
        held = self.document.contract
        return self.document.counts.billable if held is None else held.on_demand


def outlook(books: Books, catalogue: Catalogue, month: Month, usage: DailyCounts, today: date) -> Outlook:
    """`usage` holds the days with runs, from `books.first_month` on and from `forecast.HISTORY_DAYS` before
    `today` on; `today` is a day of the month. Raises PricingError."""
    basis = month_basis(books, catalogue, month, usage)
    document = compose(basis)
    billable = billable_by_day(usage)
    ahead = forecast(billable, today, first_day(month.next()))
    free = allowance(basis.version)

    def by_the_end(more: int) -> MonthEnd:
        assert ahead is not None
        scenario = own_basis(books, catalogue, month, _with(usage, ahead.spread(more)))
        # What is adjusted and credited is of the past: nothing that is still to come changes it.
        whole = replace(scenario, adjustments=basis.adjustments, credits=basis.credits)
        return MonthEnd(scenario.counts.billable, compose(whole).total)

    return Outlook(
        document=document,
        version=basis.version,
        standing=standing(basis.rated, basis.version),
        committed_left=quota(basis.version, books.terms.contract(month), billable, today).committed_left,
        free=free,
        free_used=None if free is None else min(free, basis.rated),
        forecast=ahead,
        expected=None if ahead is None else by_the_end(ahead.more),
        low=None if ahead is None or ahead.low is None else by_the_end(ahead.low),
        high=None if ahead is None or ahead.high is None else by_the_end(ahead.high),
    )


def _with(usage: DailyCounts, more: Mapping[date, int]) -> DailyCounts:
    """The days with so many more billable runs."""
    found = dict(usage)
    for day, runs in more.items():
        by_outcome = dict(usage[day].by_outcome) if day in usage else {}
        by_outcome[Outcome.BILLABLE] = by_outcome.get(Outcome.BILLABLE, 0) + runs
        found[day] = Counts(by_outcome)
    return found
