"""What a customer reads of the worked examples of docs/rules.md, word for word."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing.explaining.change import MonthBill, change, change_text
from billing.explaining.draws import month_draws
from billing.explaining.facts import facts_of
from billing.explaining.lines import (
    ON_CONTRACT_INVOICES,
    ON_USAGE_INVOICES,
    explain_contract,
    explain_lines,
)
from billing.pricing.books import Books, Issued, month_basis
from billing.pricing.catalogue import Bracket, Catalogue, PlanVersion
from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.contract_invoice import due_lines
from billing.pricing.credit import Credit
from billing.pricing.invoice import Document, compose
from billing.pricing.line import LineKind
from billing.pricing.money import format_amount
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.terms import Change, Enrolment, Protection, terms_of
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts

OCTOBER, SEPTEMBER = Month(2026, 10), Month(2026, 9)
_UP_TO = (10_000, 100_000, 1_000_000, 10_000_000, None)


def _plan(plan: str, *prices: str, version: str = "2021-02", free: int = 10_000) -> PlanVersion:
    brackets = [Bracket(up_to, Decimal(price)) for up_to, price in zip(_UP_TO, ("0", *prices), strict=True)]
    brackets[0] = Bracket(free, Decimal(0))
    return PlanVersion(plan, version, date(2021, 2, 1), "USD", None, tuple(brackets))


STARTER = _plan("starter", "0.0025", "0.00125", "0.000625", "0.0003125")
STANDARD = _plan("standard", "0.005", "0.0025", "0.00125", "0.000625")
CATALOGUE = Catalogue([STARTER, STANDARD])


def books(*changes: Change, plan: str = "starter", **more: Any) -> Books:
    return Books("acme", "USD", terms_of([Enrolment(Month(2026, 1), plan, "2021-02"), *changes]), **more)


def explained(held: Books, usage: dict[date, int], month: Month = OCTOBER) -> list[dict[str, Any]]:
    return _explained(held, composed(held, usage, month))


def composed(held: Books, usage: dict[date, int], month: Month = OCTOBER) -> Document:
    days = {day: Counts({Outcome.BILLABLE: runs}) for day, runs in usage.items()}
    return compose(month_basis(held, CATALOGUE, month, days))


def _explained(held: Books, document: Document) -> list[dict[str, Any]]:
    facts = facts_of(
        held,
        CATALOGUE,
        document.period,
        plan=document.plan,
        billable=document.counts.billable,
        drawn=None if document.contract is None else document.contract.drawn,
        lines=document.lines,
        numbers={each.month: f"{each.month}-000001" for each in held.issued},
    )
    return [dict(each.to_data()) for each in explain_lines(facts)]


def words(line: dict[str, Any]) -> list[str]:
    assert line["agrees"] is True
    return [line["text"], *(step["text"] for step in line["steps"])]


def october(runs: int) -> dict[date, int]:
    return {date(2026, 10, 3): runs}


@pytest.mark.parametrize(
    ("runs", "amounts"),
    [
        (10_000, "0.00"), (10_001, "0.00"), (10_002, "0.01"), (20_000, "25.00"), (100_000, "225.00"),
        (100_001, "225.00"), (123_456, "254.32"), (1_000_000, "1,350.00"), (10_000_000, "6,975.00"),
        (100_000_000, "35,100.00"),
    ],
)  # fmt: skip
def test_whole_months_of_starter(runs: int, amounts: str) -> None:
    lines = explained(books(), october(runs))
    assert all(line["agrees"] for line in lines)
    assert format_amount(sum(line["amount"] for line in lines), "USD") == f"{amounts} USD"


def test_runs_beyond_the_free_ones() -> None:
    free, paid = explained(books(), october(12_345))
    assert words(free) == [
        "Runs 1 to 10,000 of the month are free.",
        "Of 12,345 billable runs the bracket reaches to run 10,000",
        "10,000 runs × 0.00 USD = 0.00 USD",
        "0.00 USD, rounded half up to 0.01 USD: 0.00 USD",
    ]
    assert words(paid) == [
        "Runs 10,001 to 12,345 of the month cost 0.0025 USD each.",
        "12,345 billable runs − 10,000 free = 2,345 runs",
        "2,345 runs × 0.0025 USD = 5.8625 USD",
        "5.8625 USD, rounded half up to 0.01 USD: 5.86 USD",
    ]


def test_two_brackets_and_half_a_cent() -> None:
    *_, full, last = explained(books(), october(123_456))
    assert words(full)[1:3] == [
        "Of 123,456 billable runs the bracket reaches to run 100,000",
        "100,000 runs − 10,000 free = 90,000 runs",
    ]
    assert words(last) == [
        "Runs 100,001 to 123,456 of the month cost 0.00125 USD each.",
        "123,456 billable runs − 100,000 in the brackets before = 23,456 runs",
        "23,456 runs × 0.00125 USD = 29.32 USD",
        "29.32 USD, rounded half up to 0.01 USD: 29.32 USD",
    ]
    _, one = explained(books(), october(10_001))
    assert words(one) == [
        "Run 10,001 of the month costs 0.0025 USD.",
        "10,001 billable runs − 10,000 free = 1 run",
        "1 run × 0.0025 USD = 0.0025 USD",
        "0.0025 USD, rounded half up to 0.01 USD: 0.00 USD",
    ]
    assert explained(books(), october(10_002))[1]["steps"][-1]["text"] == (
        "0.005 USD, rounded half up to 0.01 USD: 0.01 USD"
    )


def test_a_stack_of_terms() -> None:
    """Half off as a startup, 10.00 protected, 1,200 late runs of September, 50.00 of credit."""
    september = composed(books(), {date(2026, 9, 3): 10_000}, SEPTEMBER)
    held = books(
        Program(ProgramName.STARTUPS, Decimal(50), date(2026, 10, 1), date(2027, 2, 1)),
        Protection(OCTOBER, PriceProtection(1000, date(2027, 1, 1))),
        issued=(Issued(SEPTEMBER, september.lines),),
        credits=(Credit("crd_1", 5000, 1, "goodwill"),),
    )
    _, paid, program, protection, adjustment, credit = explained(
        held, {**october(20_000), date(2026, 9, 3): 10_000, date(2026, 9, 30): 1_200}
    )
    assert words(paid)[2] == "10,000 runs × 0.0025 USD = 25.00 USD"
    assert words(program) == [
        "The program startups takes 50% off what the runs of a month cost. It holds on the first day of the "
        "month, and so for all of it; it ends on 1 February 2027.",
        "0.00 USD (task runs 1 to 10,000) + 25.00 USD (task runs 10,001 to 20,000) = 25.00 USD (usage)",
        "50% of 25.00 USD (usage) = 12.50 USD (off)",
        "12.50 USD, rounded half up to 0.01 USD: 12.50 USD",
        "Taken off: -12.50 USD",
    ]
    assert words(protection) == [
        "The price of a month is protected: until 1 January 2027 a month's runs cost no more than 10.00 USD.",
        "0.00 USD (task runs 1 to 10,000) + 25.00 USD (task runs 10,001 to 20,000) − 12.50 USD (program "
        "startups) = 12.50 USD (before protection)",
        "10.00 USD (the most that a month costs) − 12.50 USD (before protection) = -2.50 USD",
    ]
    assert words(adjustment) == [
        "September 2026 has 1,200 runs more than were billed for it: 11,200, not 10,000. Runs came late, or "
        "were taken back. An invoice is never edited; the month is priced again on plan starter@2021-02, and "
        "the difference is billed here.",
        "0.00 USD (task runs 1 to 10,000) + 3.00 USD (task runs 10,001 to 11,200) = 3.00 USD (September 2026 "
        "as it is now)",
        "Billed before: 0.00 USD (invoice 2026-09-000001)",
        "3.00 USD (September 2026 as it is now) − 0.00 USD (billed before) = 3.00 USD",
    ]
    assert words(credit) == [
        "Account credit, for: goodwill. Credit is used oldest first, until nothing is left to pay.",
        "0.00 USD (task runs 1 to 10,000) + 25.00 USD (task runs 10,001 to 20,000) − 12.50 USD (program "
        "startups) − 2.50 USD (price protection) + 3.00 USD (adjustment for 2026-09) = 13.00 USD (to pay "
        "before it)",
        "The smaller of 13.00 USD (to pay before it) and 50.00 USD (left of this credit): 13.00 USD",
        "Taken off: -13.00 USD",
    ]


def test_runs_that_were_taken_back_are_carried() -> None:
    september = composed(books(), {date(2026, 9, 3): 20_000}, SEPTEMBER)
    held = books(issued=(Issued(SEPTEMBER, september.lines, credited=100),))
    *_, adjustment, carried = explained(held, {date(2026, 9, 3): 15_000})
    assert words(adjustment)[0].startswith(
        "September 2026 has 5,000 runs fewer than were billed for it: 15,000, not 20,000. Runs came late, or "
        "were taken back. What was agreed for it, or credited, has changed as well. An invoice is never "
    )
    assert words(adjustment)[2:] == [
        "25.00 USD (invoice 2026-09-000001) − 1.00 USD (credit notes) = 24.00 USD (billed before)",
        "12.50 USD (September 2026 as it is now) − 24.00 USD (billed before) = -11.50 USD",
    ]
    assert words(carried) == [
        "The lines above come to less than nothing. The invoice is for nothing, and what you are owed is "
        "account credit, which the next invoices use.",
        "Before this line: -11.50 USD (adjustment for 2026-09)",
        "Taken off: 11.50 USD",
    ]


CONTRACT = Contract(
    "acme-2026",
    "acme",
    date(2026, 1, 1),
    date(2027, 1, 1),
    "standard@2021-02",
    "USD",
    Instalments.QUARTERLY,
    (Grant("g1", 1_000_000, 90_001, date(2026, 1, 1), date(2027, 1, 1)),),
    (Service("Onboarding", 150_000, date(2026, 1, 1)),),
)
YEAR = {date(2026, month, 10): 90_000 for month in range(1, 12)} | {date(2026, 12, 10): 30_000}


def test_the_year_of_a_million_runs() -> None:
    december = Month(2026, 12)
    held = books(CONTRACT)
    free, paid = explained(held, YEAR, december)
    assert words(free)[:3] == [
        "Runs 1 to 10,000 on demand are free.",
        "30,000 billable runs − 10,000 paid for in advance = 20,000 runs on demand",
        "Of 20,000 runs on demand the bracket reaches to run 10,000",
    ]
    assert words(paid)[2:] == [
        "20,000 runs on demand − 10,000 free = 10,000 runs",
        "10,000 runs × 0.005 USD = 50.00 USD",
        "50.00 USD, rounded half up to 0.01 USD: 50.00 USD",
    ]
    assert month_draws(CONTRACT, december, YEAR).to_data() == {
        "grants": [
            {
                "grant": "g1",
                "granted_on": "2026-01-01",
                "expires_on": "2027-01-01",
                "before": 10_000,
                "drawn": 10_000,
                "left": 0,
            }
        ],
        "days": [
            {
                "day": "2026-12-10",
                "billable": 30_000,
                "drawn": 10_000,
                "by_grant": {"g1": 10_000},
                "on_demand": 20_000,
            }
        ],
    }


def test_instalments_and_services() -> None:
    lines = due_lines(CONTRACT, {"grant/g1": 100}, date(2026, 5, 1))
    first, second, service = (
        dict(each.to_data()) for each in explain_contract(CONTRACT, {"grant/g1": 100}, lines)
    )
    assert words(first) == [
        "Contract acme-2026 commits to 1,000,000 runs (grant g1), usable from 1 January 2026 and before "
        "1 January 2027. They are paid for in 4 instalments; this one is due on 1 January 2026. Where the "
        "price does not divide evenly, the earlier ones take the odd cents.",
        "900.01 USD (the price of 1,000,000 runs) in 4 even parts, part 1: 225.01 USD",
        "225.01 USD − 1.00 USD (invoiced before) = 224.01 USD",
    ]
    assert words(second)[1:] == [
        "900.01 USD (the price of 1,000,000 runs) in 4 even parts, part 2: 225.00 USD"
    ]
    assert words(service) == [
        "A service of contract acme-2026, due on 1 January 2026: Onboarding.",
        "1,500.00 USD (its price)",
    ]


def test_every_kind_of_line_is_explained() -> None:
    """A kind that is new has to be explained too."""
    assert frozenset(LineKind) == ON_USAGE_INVOICES | ON_CONTRACT_INVOICES
    assert not ON_USAGE_INVOICES & ON_CONTRACT_INVOICES


def test_a_line_that_its_calculation_does_not_come_to_is_told() -> None:
    held = books()
    document = composed(held, october(12_345))
    facts = facts_of(
        held,
        CATALOGUE,
        OCTOBER,
        plan=document.plan,
        billable=12_346,
        drawn=None,
        lines=document.lines,
        numbers={},
    )
    assert [each.agrees for each in explain_lines(facts)] == [True, False]
    dearer = replace(facts, version=STANDARD, billable=12_345)
    assert [each.agrees for each in explain_lines(dearer)] == [True, False]


# Against the month before


def bill(month: Month, runs: int, version: PlanVersion = STARTER, *, drawn: int = 0) -> MonthBill:
    plain = Books("acme", "USD", terms_of([Enrolment(Month(2026, 1), version.plan, version.version)]))
    days = {date(month.year, month.number, 1): Counts({Outcome.BILLABLE: runs - drawn})}
    lines = compose(month_basis(plain, Catalogue([version]), month, days)).lines
    return MonthBill(month, runs, drawn, version, lines, f"{month}-000001")


@pytest.mark.parametrize(
    ("before", "now", "says", "drivers"),
    [
        (
            bill(SEPTEMBER, 8_000),
            bill(OCTOBER, 12_345),
            "5.86 USD more than September 2026, which came to 0.00 USD.",
            [
                ("4,345 more billable runs, at 0.0025 USD each", 1086),
                ("2,000 more runs among the free ones", -500),
            ],
        ),
        (
            bill(SEPTEMBER, 123_456),
            bill(OCTOBER, 100_000),
            "29.32 USD less than September 2026, which came to 254.32 USD.",
            [
                ("23,456 fewer billable runs, at 0.0025 USD each", -5864),
                ("Runs in later brackets, which have another price", 2932),
            ],
        ),
        (
            bill(SEPTEMBER, 20_000),
            bill(OCTOBER, 30_000, STANDARD),
            "75.00 USD more than September 2026, which came to 25.00 USD.",
            [
                ("10,000 more billable runs, at 0.0025 USD each", 2500),
                ("Plan standard@2021-02 in place of starter@2021-02", 5000),
            ],
        ),
        (
            bill(SEPTEMBER, 90_000, STANDARD, drawn=90_000),
            bill(OCTOBER, 30_000, STANDARD, drawn=10_000),
            "50.00 USD more than September 2026, which came to 0.00 USD.",
            [
                ("60,000 fewer billable runs, at 0.005 USD each", -30000),
                ("80,000 fewer runs paid for in advance, by a contract", 40000),
                ("10,000 more runs among the free ones", -5000),
            ],
        ),
        (
            None,
            bill(OCTOBER, 10_002),
            "There is no invoice for September 2026 to compare with: all of it is new.",
            [
                ("10,002 more billable runs, at 0.0025 USD each", 2501),
                ("10,000 more runs among the free ones", -2500),
            ],
        ),
        (bill(SEPTEMBER, 7), bill(OCTOBER, 7), "As much as September 2026, which came to 0.00 USD.", []),
    ],
)
def test_what_changed(
    before: MonthBill | None, now: MonthBill, says: str, drivers: list[tuple[str, int]]
) -> None:
    found = change(now, before, "USD")
    assert change_text(found, "USD") == says
    assert [(each.text, each.amount) for each in found.causes] == drivers
