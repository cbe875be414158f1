"""What a month has come to and will come to: priced as invoices are, contracts drawn, credit used."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.alerts.figures import month_figures
from billing.plans import shipped_catalogue
from billing.pricing.books import Books, DailyCounts, Issued, own_basis
from billing.pricing.catalogue import Bracket, Catalogue, PlanVersion
from billing.pricing.credit import Credit
from billing.pricing.invoice import compose
from billing.pricing.line import Line, LineKind
from billing.pricing.outlook import Outlook, outlook
from billing.pricing.terms import Enrolment, terms_of
from metering.forecast import HISTORY_DAYS
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts
from tests.billing.pricing.contracts import acme, day, grant

OCTOBER = Month(2026, 10)
TODAY = day("2026-10-16")
CATALOGUE = Catalogue(shipped_catalogue())
ENROLMENT = Enrolment(Month(2026, 1), "starter", "2021-02")
BOOKS = Books("acme", "USD", terms_of([ENROLMENT]))


def usage(runs_a_day: int, days: int = HISTORY_DAYS) -> DailyCounts:
    return {
        TODAY - timedelta(back): Counts({Outcome.BILLABLE: runs_a_day, Outcome.FAILED: 1})
        for back in range(1, days + 1)
    }


def look(known: DailyCounts, books: Books = BOOKS) -> Outlook:
    return outlook(books, CATALOGUE, OCTOBER, known, TODAY)


def test_a_month_that_goes_on_as_it_did() -> None:
    """15 days of 1,000 runs, and 16 to come: 31,000, of which 21,000 cost 0.0025."""
    found = look(usage(1_000))
    assert (found.document.total, found.rated, found.free, found.free_used) == (1_250, 15_000, 10_000, 10_000)
    assert found.expected is not None and found.low == found.high == found.expected
    assert (found.expected.billable, found.expected.total) == (31_000, 5_250)
    assert (found.standing.bracket, found.standing.next_price) == (2, Decimal("0.0025"))
    assert found.standing.left_in_bracket == 85_000


def test_a_range_is_priced_at_both_ends() -> None:
    known = dict(usage(1_000))
    for back in range(5, HISTORY_DAYS, 6):
        known[TODAY - timedelta(back)] = Counts({Outcome.BILLABLE: 3_000})
    found = look(known)
    assert found.low is not None and found.expected is not None and found.high is not None
    assert found.low.billable < found.expected.billable < found.high.billable
    for end in (found.low, found.expected, found.high):
        assert end.total == (end.billable - 10_000 + 2) // 4  # half up


def test_too_little_history_has_no_range_and_none_at_all_no_forecast() -> None:
    short = look(usage(1_000, days=20))
    assert short.expected is not None and (short.low, short.high) == (None, None)
    old = {TODAY - timedelta(40): Counts({Outcome.BILLABLE: 5})}
    for known in ({}, old, {TODAY: Counts({Outcome.BILLABLE: 5})}):
        nothing = look(known)
        assert (nothing.forecast, nothing.expected, nothing.low) == (None, None, None)


def test_credit_is_used_by_what_is_expected_too() -> None:
    found = look(usage(1_000), replace(BOOKS, credits=(Credit("crd_1", 2_000, 0, "goodwill"),)))
    assert found.document.total == 0  # 12.50, all of it from credit
    assert found.expected is not None and found.expected.total == 5_250 - 2_000


def test_committed_runs_serve_what_is_expected_as_long_as_they_last() -> None:
    """1,000 a day; what is left of the grant lasts for four days more, and then free runs come."""
    contract = acme(grant("g1", 1_000 * HISTORY_DAYS + 4_000))
    books = replace(BOOKS, terms=terms_of([ENROLMENT, contract]))
    found = look(usage(1_000), books)
    assert (found.committed_left, found.rated, found.document.total) == (4_000, 0, 0)
    assert found.document.contract is not None and found.document.contract.drawn == 15_000
    # 16,000 are expected; 4,000 are committed ones, 10,000 free, and 2,000 on demand at 0.0050.
    assert found.expected is not None
    assert (found.expected.billable, found.expected.total) == (31_000, 1_000)
    assert found.standing.next_price == 0


known_days = st.dictionaries(
    st.integers(-HISTORY_DAYS, 0).map(lambda number: TODAY + timedelta(number)),
    st.integers(0, 30_000).map(lambda runs: Counts({Outcome.BILLABLE: runs})),
    max_size=60,
)


@given(known_days, st.booleans())
def test_it_is_what_alerts_compare_and_what_an_invoice_would_be(
    known: dict[date, Counts], under_contract: bool
) -> None:
    books = BOOKS
    if under_contract:
        contract = acme(grant("a", 90_000, until="2026-10-20"), grant("b", 50_000, since="2026-06-01"))
        books = replace(BOOKS, terms=terms_of([ENROLMENT, contract]))
    found = look(known, books)
    assert found.document.total == compose(own_basis(books, CATALOGUE, OCTOBER, known)).total
    billable = {on: counts.billable for on, counts in known.items()}
    figures = {each.kind: each for each in month_figures(books, CATALOGUE, billable, OCTOBER, TODAY, 100)}
    assert figures["budget"].actual == found.document.total
    expected = None if found.expected is None else found.expected.total
    assert figures["budget"].forecast == expected
    if found.low is not None and found.expected is not None and found.high is not None:
        assert found.low.billable <= found.expected.billable <= found.high.billable
        assert found.document.total <= found.low.total <= found.expected.total <= found.high.total


def test_what_is_adjusted_of_the_past_is_part_of_the_month() -> None:
    """September was invoiced for 12,000 runs, 5.00, and has 14,000 now: 10.00, so 5.00 more with October."""
    billed = (rated(12_000, 500),)
    known = {date(2026, 9, 5): Counts({Outcome.BILLABLE: 14_000}), **usage(1_000, 15)}
    found = look(known, replace(BOOKS, issued=(Issued(Month(2026, 9), billed),)))
    assert found.forecast is not None and found.expected is not None
    assert found.forecast.more == found.expected.billable - 15_000
    assert found.document.total == 1_250 + 500
    without = look(known)
    assert without.expected is not None
    assert found.expected.total == without.expected.total + 500
    assert found.version.id == "starter@2021-02"


def test_a_plan_that_is_free_without_end_has_no_free_runs_to_count() -> None:
    free = Books("acme", "USD", terms_of([Enrolment(Month(2026, 1), "free", "1")]))
    plan = PlanVersion("free", "1", date(2021, 1, 1), "USD", None, (Bracket(None, Decimal(0)),))
    found = outlook(free, Catalogue((plan,)), OCTOBER, usage(1_000), TODAY)
    assert (found.free, found.free_used) == (None, None)


def rated(runs: int, cents: int) -> Line:
    return Line(LineKind.USAGE, "usage", runs, None, Decimal(cents).scaleb(-2), cents)
