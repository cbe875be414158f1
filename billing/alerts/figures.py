"""From an account's terms and usage to the figures that are compared with thresholds: pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from billing.alerts.thresholds import Figure
from billing.pricing.books import Books, DailyCounts, own_price
from billing.pricing.catalogue import Catalogue
from billing.pricing.contract import Contract, term_usage
from billing.pricing.days import first_day
from billing.pricing.drawdown import draw
from billing.pricing.quota import allowance
from billing.pricing.terms import Terms
from metering.forecast import expected_days
from metering.outcome import Outcome
from metering.pace import TREND_DAYS
from metering.period import Month
from metering.usage import Counts


def first_day_needed(terms: Terms, month: Month) -> date:
    """The first day whose usage has a say in the figures of a month: the weeks before it give the pace, and
    a contract is drawn from its start."""
    contract = terms.contract(month)
    before = first_day(month) - timedelta(TREND_DAYS)
    return before if contract is None else min(before, contract.start)


def month_figures(
    books: Books,
    catalogue: Catalogue,
    billable: Mapping[date, int],
    month: Month,
    today: date,
    budget: int | None = None,
) -> list[Figure]:
    """The figures of an account as they stand on a day of the month, or after it. `billable` holds the days
    with runs from `first_day_needed` on; `budget` is in minor units. Of a month that is over nothing is
    forecast. Raises PricingError."""
    contract = books.terms.contract(month)
    end = first_day(month.next())
    until = end if contract is None else max(end, contract.end)
    later = expected_days(billable, today, until) if today < end else None
    ahead = None if later is None else _together(billable, later)
    found = [] if contract is None else [_commitment(contract, billable, ahead, today)]
    free = allowance(catalogue.get(books.terms.plan(month)))
    if free:
        found.append(
            Figure(
                "free_runs",
                str(month),
                free,
                _rated(contract, month, billable),
                None if ahead is None else _rated(contract, month, ahead),
            )
        )
    if budget:
        found.append(
            Figure(
                "budget",
                str(month),
                budget,
                _price(books, catalogue, month, billable),
                None if ahead is None else _price(books, catalogue, month, ahead),
                books.currency,
            )
        )
    return [each for each in found if each is not None]


def _together(known: Mapping[date, int], later: Mapping[date, int]) -> dict[date, int]:
    return {day: known.get(day, 0) + later.get(day, 0) for day in {*known, *later}}


def _rated(contract: Contract | None, month: Month, billable: Mapping[date, int]) -> int:
    """The runs of the month that the plan's brackets count: under contract those on demand."""
    if contract is not None:
        return draw(contract.grants, term_usage(contract, billable)).on_demand(month)
    return sum(runs for day, runs in billable.items() if (day.year, day.month) == (month.year, month.number))


def _price(books: Books, catalogue: Catalogue, month: Month, billable: Mapping[date, int]) -> int:
    """What the month's own usage costs, after discounts and before adjustments, credit and tax."""
    return own_price(books, catalogue, month, _counts(billable)).amount


def _commitment(
    contract: Contract, billable: Mapping[date, int], ahead: Mapping[date, int] | None, today: date
) -> Figure | None:
    """What is gone of the runs that were granted by now: used, or expired. Runs that are granted later make
    another limit then, of which the thresholds are told anew."""
    granted = [grant for grant in contract.grants if grant.granted_on <= today]
    committed = sum(grant.runs for grant in granted)
    if not committed:
        return None
    usable = [grant.id for grant in granted if today < grant.expires_on]

    def gone(by_day: Mapping[date, int]) -> int:
        # Of what can still be used, what will expire with the term is no reason to warn of its use.
        left = draw(granted, term_usage(contract, by_day)).left
        return committed - sum(left[each] for each in usable)

    return Figure(
        "commitment", contract.id, committed, gone(billable), None if ahead is None else gone(ahead)
    )


def _counts(billable: Mapping[date, int]) -> DailyCounts:
    return {day: Counts({Outcome.BILLABLE: runs}) for day, runs in billable.items()}
