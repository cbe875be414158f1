"""What a month is computed from, out of an account's books: worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from billing.pricing.adjustment import Adjustment, Priced
from billing.pricing.books import Books, Issued, first_month, month_basis, own_price
from billing.pricing.catalogue import Bracket, Catalogue, PlanVersion
from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.credit import Credit
from billing.pricing.invoice import compose
from billing.pricing.line import Line, LineKind, flat_line
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.terms import Change, Enrolment, NewPlan, Protection, terms_of
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts
from tests.billing.pricing.terms import program

# 0.10 a run; 0.20 a run.
FLAT = PlanVersion("flat", "1", date(2021, 1, 1), "USD", None, (Bracket(None, Decimal("0.10")),))
DEAR = PlanVersion("dear", "1", date(2021, 1, 1), "USD", None, (Bracket(None, Decimal("0.20")),))
CATALOGUE = Catalogue((FLAT, DEAR))
JULY, AUGUST, SEPTEMBER, OCTOBER = (Month(2026, number) for number in (7, 8, 9, 10))
ENROLLED = Enrolment(Month(2026, 1), "flat", "1")
CONTRACT = Contract(
    "c1",
    "acme",
    date(2026, 8, 1),
    date(2027, 8, 1),
    "dear@1",
    "USD",
    Instalments.UPFRONT,
    (Grant("g", 70, 0, date(2026, 8, 1), date(2027, 8, 1)),),
)
CREDIT = Credit("crd", 150, 1, "goodwill")


def books(*issued: Issued, changes: tuple[Change, ...] = ()) -> Books:
    return Books("acme", "USD", terms_of([ENROLLED, *changes]), issued, (CREDIT,))


def used(**runs: int) -> dict[date, Counts]:
    """`july=50`: on the fifth of the month, and a failed run beside."""
    of = {"july": 7, "august": 8, "september": 9, "october": 10, "november": 11}
    return {
        date(2026, of[month], 5): Counts({Outcome.BILLABLE: number, Outcome.FAILED: 1})
        for month, number in runs.items()
    }


def usage(runs: int, cents: int) -> Line:
    return Line(LineKind.USAGE, "usage", runs, Decimal("0.10"), Decimal(cents).scaleb(-2), cents)


def adjusting(month: Month, runs: int, cents: int) -> Line:
    return flat_line(LineKind.ADJUSTMENT, "adjustment", cents, "USD", quantity=runs, month=month)


def test_each_earlier_invoiced_month_is_adjusted_to_what_it_costs_now() -> None:
    """July: 50 runs for 5.00, of which a note took 1.00; September's invoice has 2 runs more of July for
    0.20. Now July has 60 runs: 6.00. September: 30 runs for 3.00, and it has 28. August has no invoice."""
    july = Issued(JULY, (usage(50, 500),), credited=100)
    september = Issued(SEPTEMBER, (usage(30, 300), adjusting(JULY, 2, 20)))
    november = Issued(Month(2026, 11), (usage(9, 90), adjusting(OCTOBER, 4, 40), adjusting(JULY, 1, 10)))
    days = used(july=60, august=7, september=28, october=12)
    basis = month_basis(books(july, september, november), CATALOGUE, OCTOBER, days)
    assert basis.adjustments == (
        Adjustment(JULY, Priced(600, 60), Priced(430, 53)),
        Adjustment(SEPTEMBER, Priced(280, 28), Priced(300, 30)),
        Adjustment(OCTOBER, Priced(), Priced(40, 4)),
    )
    assert (basis.account, basis.credits, basis.counts) == ("acme", (CREDIT,), days[date(2026, 10, 5)])
    # 1.20 + 1.70 - 0.20 - 0.40 - 1.50
    assert [line.amount for line in compose(basis).lines] == [120, 170, -20, -40, -150]


def test_an_invoice_of_the_month_itself_is_left_out() -> None:
    """October is issued again: what its own invoice billed is as if void, what others did is taken off."""
    own = Issued(OCTOBER, (usage(10, 100), adjusting(SEPTEMBER, 5, 50)))
    september = Issued(SEPTEMBER, (usage(30, 300),))
    basis = month_basis(books(september, own), CATALOGUE, OCTOBER, used(september=30, october=10))
    assert [each.difference for each in basis.adjustments] == [Priced(), Priced()]
    first = month_basis(books(own, september), CATALOGUE, OCTOBER, used(september=30, october=10))
    assert first == basis


def test_a_month_has_its_own_terms() -> None:
    """Half off and at most 1.00, in September alone: 30 runs are 3.00, 1.50 off, and 0.50 protected."""
    protection = Protection(SEPTEMBER, PriceProtection(100, date(2026, 10, 1)))
    held = books(changes=(program("50", "2026-09-01", "2026-10-01"), protection))
    days = used(august=30, september=30, october=30)
    assert [own_price(held, CATALOGUE, month, days) for month in (AUGUST, SEPTEMBER, OCTOBER)] == [
        Priced(300, 30),
        Priced(100, 30),
        Priced(300, 30),
    ]
    half = books(changes=(program("50", "2026-09-01", "2026-10-01"),))
    assert own_price(half, CATALOGUE, SEPTEMBER, days) == Priced(150, 30)


def test_months_under_contract_draw_on_one_balance() -> None:
    """70 runs are granted from August on. August used 50, then 60: 60 are drawn. September used 30, 10 are
    drawn and 20 on demand for 4.00; July, before the term, is a monthly month."""
    july = Issued(JULY, (usage(50, 500),))
    august = Issued(AUGUST, ())
    days = used(july=50, august=60, september=30)
    held = books(july, august, changes=(CONTRACT,))
    basis = month_basis(held, CATALOGUE, SEPTEMBER, days)
    assert basis.contract == ContractMonth("c1", 10, 20)
    assert basis.version == DEAR
    assert [(each.month, each.recomputed, each.on_demand) for each in basis.adjustments] == [
        (JULY, Priced(500, 50), False),
        (AUGUST, Priced(0, 0), True),
        (SEPTEMBER, Priced(), False),
    ]
    assert own_price(held, CATALOGUE, SEPTEMBER, days) == Priced(400, 20)
    repriced = books(changes=(CONTRACT, NewPlan("c1", SEPTEMBER, "flat@1")))
    assert own_price(repriced, CATALOGUE, SEPTEMBER, days) == Priced(200, 20)


def test_runs_outside_of_a_term_draw_nothing() -> None:
    """A contract of August alone: not the last day of July, nor the first of September."""
    grants = (Grant("g", 70, 0, date(2026, 8, 1), date(2026, 9, 1)),)
    august = replace(CONTRACT, end=date(2026, 9, 1), grants=grants)
    one = Counts({Outcome.BILLABLE: 1})
    days = dict.fromkeys((date(2026, 7, 31), date(2026, 8, 1), date(2026, 8, 31), date(2026, 9, 1)), one)
    basis = month_basis(books(changes=(august,)), CATALOGUE, AUGUST, days)
    assert basis.contract == ContractMonth("c1", 2, 0)


def test_the_first_month_that_has_a_say() -> None:
    """A month alone; with what it adjusts; under contract, all of the term; and of what it adjusts, too."""
    issued = (Issued(SEPTEMBER, ()), Issued(JULY, ()), Issued(OCTOBER, ()), Issued(Month(2026, 11), ()))
    assert first_month(books(), OCTOBER) == OCTOBER
    assert first_month(books(issued[3]), OCTOBER) == OCTOBER
    assert first_month(books(issued[2]), OCTOBER) == OCTOBER
    assert first_month(books(*issued), OCTOBER) == JULY
    assert first_month(books(changes=(CONTRACT,)), OCTOBER) == AUGUST
    assert first_month(books(changes=(CONTRACT,)), JULY) == JULY
    assert first_month(books(*issued, changes=(CONTRACT,)), OCTOBER) == JULY
    ended = replace(CONTRACT, start=date(2026, 6, 1), end=date(2026, 8, 1), grants=())
    assert first_month(books(issued[1], changes=(ended,)), SEPTEMBER) == Month(2026, 6)
    assert first_month(books(changes=(ended,)), SEPTEMBER) == SEPTEMBER
