"""What terms change on an invoice: contracts, programs, price protection; each alone, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.pricing.errors import ProgramRefused, TermsError, UnknownProgram
from billing.pricing.invoice import LineKind
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_application import Application, require_eligible
from billing.pricing.program_discount import Program, ProgramName, best, program_name
from tests.billing.pricing.contracts import day
from tests.billing.pricing.data import DEVELOPER, STANDARD, plan
from tests.billing.pricing.terms import OCTOBER, basis, changes, invoice, program

# On demand


def test_under_contract_only_on_demand_runs_make_lines() -> None:
    document = invoice(30_000, STANDARD, contract=ContractMonth("acme-2026", drawn=10_000, on_demand=20_000))
    assert [(line.kind, line.description, line.quantity, line.amount) for line in document.lines] == [
        (LineKind.ON_DEMAND, "On-demand task runs 1 to 10,000 (free)", 10_000, 0),
        (LineKind.ON_DEMAND, "On-demand task runs 10,001 to 20,000 at 0.005 USD each", 10_000, 5_000),
    ]
    assert document.total == 5_000
    assert document.notes == ("10,000 task runs were drawn from the committed runs of contract acme-2026.",)
    data = document.to_data()
    assert data["billable"] == 30_000
    assert data["contract"] == {"id": "acme-2026", "drawn": 10_000, "on_demand": 20_000}


def test_a_month_that_was_all_drawn_has_no_lines() -> None:
    document = invoice(1, STANDARD, contract=ContractMonth("c", drawn=1, on_demand=0))
    assert (document.lines, document.total) == ((), 0)
    assert document.notes == ("1 task run was drawn from the committed runs of contract c.",)
    assert invoice(0, STANDARD, contract=ContractMonth("c", 0, 0)).notes == ()


def test_drawn_runs_are_not_over_a_soft_limit() -> None:
    document = invoice(30_000, DEVELOPER, contract=ContractMonth("c", drawn=19_999, on_demand=10_001))
    assert document.over_soft_limit == 1


@pytest.mark.parametrize(("drawn", "on_demand"), [(10, 19), (10, 21), (0, 0)])
def test_drawn_and_on_demand_are_the_billable_runs(drawn: int, on_demand: int) -> None:
    with pytest.raises(ValueError, match="30 are billable"):
        basis(30, contract=ContractMonth("c", drawn, on_demand))


def test_no_quantity_of_a_contract_is_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        ContractMonth("c", drawn=40, on_demand=-10)
    with pytest.raises(ValueError, match="never negative"):
        ContractMonth("c", drawn=-10, on_demand=40)


# Programs


def test_a_program_takes_a_percentage_of_the_rounded_usage() -> None:
    document = invoice(123_456, programs=(program("25"),))
    assert changes(document) == [("program_discount", "Program startups: 25% off 254.32 USD", -6_358)]
    assert document.total == 19_074
    line = document.lines[-1].to_data()
    assert (line["quantity"], line["unit_price"], line["exact_amount"]) == (1, None, "-63.5800")


@pytest.mark.parametrize(
    ("cents", "percentage", "off"),
    [(1, "50", 1), (1, "49.9999", 0), (3, "50", 2), (5, "10", 1), (25, "10", 3), (333, "33.3333", 111)],
)
def test_the_magnitude_of_a_discount_is_rounded_half_up(cents: int, percentage: str, off: int) -> None:
    document = invoice(cents, plan((None, "0.01")), programs=(program(percentage),))
    assert document.total == cents - off
    assert len(document.lines) == (2 if off else 1), "a discount of nothing makes no line"


def test_all_off() -> None:
    assert invoice(123_456, programs=(program("100"),)).total == 0
    assert changes(invoice(9_000, programs=(program("100"),))) == []


@pytest.mark.parametrize(
    ("since", "until", "covered"),
    [
        ("2026-10-01", "2026-10-02", True),
        ("2026-10-02", "2027-01-01", False),
        ("2026-01-01", "2026-10-01", False),
        ("2026-01-01", "2026-10-15", True),
    ],
    ids=["its first day alone", "begins inside it", "ended as it began", "ends inside it"],
)
def test_a_month_is_covered_by_what_is_active_on_its_first_day(since: str, until: str, covered: bool) -> None:
    assert bool(changes(invoice(20_000, programs=(program("50", since, until),)))) is covered


def test_of_several_programs_the_best_counts_alone() -> None:
    ended = program("90", until="2026-10-01", name="academia")
    half, third = program("50", name="nonprofits"), program("33")
    assert best((third, ended, half), OCTOBER) == half
    assert changes(invoice(20_000, programs=(third, ended, half))) == [
        ("program_discount", "Program nonprofits: 50% off 25.00 USD", -1_250)
    ]
    assert best((ended,), OCTOBER) is None


@pytest.mark.parametrize("percentage", ["0", "-1", "100.0001", "101", "NaN", "Infinity", "1.00001"])
def test_percentages_that_are_none(percentage: str) -> None:
    with pytest.raises(TermsError, match="program startups: "):
        program(percentage)


def test_programs_that_are_none() -> None:
    with pytest.raises(UnknownProgram, match="no program 'friends'; known: academia, startups, nonprofits"):
        program_name("friends")
    assert program_name("academia") is ProgramName.ACADEMIA
    with pytest.raises(UnknownProgram):
        Program("friends", Decimal(5), day("2026-01-01"), day("2027-01-01"))  # type: ignore[arg-type]
    with pytest.raises(TermsError, match="which is not after its start"):
        program("5", "2026-01-01", "2026-01-01")
    with pytest.raises(TermsError, match="ends_on must be a date"):
        replace(program("5"), ends_on=datetime(2027, 1, 1))  # noqa: DTZ001
    with pytest.raises(TypeError):
        replace(program("5"), percentage=5.0)  # type: ignore[arg-type]


def startup(founded_on: str | None, raised: int | None, applied_on: str = "2026-10-15") -> Application:
    return Application(
        ProgramName.STARTUPS, day(applied_on), None if founded_on is None else day(founded_on), raised
    )


@pytest.mark.parametrize(
    "application",
    [
        startup("2023-10-16", 999_999_999),
        startup("2026-10-15", 0),
        startup("2024-02-29", 0, "2027-02-28"),
        Application(ProgramName.ACADEMIA, date(2026, 10, 15)),
        Application(ProgramName.NONPROFITS, date(2026, 10, 15)),
    ],
)
def test_who_may_join(application: Application) -> None:
    require_eligible(application)


@pytest.mark.parametrize(
    ("application", "reason"),
    [
        (
            startup("2023-10-15", 0),
            "less than 3 years old when it applies; this one was founded on 2023-10-15",
        ),
        (startup("2001-01-01", 0), "less than 3 years old"),
        (startup("2024-02-29", 0, "2027-03-01"), "less than 3 years old"),
        (startup("2026-10-16", 0), "founded on 2026-10-16 is after the application on 2026-10-15"),
        (startup("2025-01-01", 1_000_000_000), "has raised less than 10,000,000.00 USD when it applies"),
        (startup("2025-01-01", -1), "the amount raised is negative"),
        (startup(None, 0), "must say when it was founded"),
        (startup("2025-01-01", None), "must say how much it has raised"),
    ],
)
def test_who_may_not_join(application: Application, reason: str) -> None:
    with pytest.raises(ProgramRefused) as error:
        require_eligible(application)
    assert reason in str(error.value)


# Price protection


@pytest.mark.parametrize(
    ("charge", "line"),
    [(2_499, -1), (2_500, None), (10_000, None), (0, -2_500)],
    ids=["just above", "equal", "far below", "was free"],
)
def test_price_protection_caps_the_month(charge: int, line: int | None) -> None:
    document = invoice(20_000, protection=PriceProtection(charge, day("2027-01-01")))
    assert [amount for _, _, amount in changes(document)] == ([] if line is None else [line])
    assert document.total == min(2_500, charge)


def test_price_protection_counts_after_the_discount() -> None:
    terms: dict[str, Any] = {
        "programs": (program("50"),),
        "protection": PriceProtection(1_000, day("2027-01-01")),
    }
    assert changes(invoice(20_000, **terms)) == [
        ("program_discount", "Program startups: 50% off 25.00 USD", -1_250),
        ("price_protection", "Price protection: at most 10.00 USD a month, ends on 2027-01-01", -250),
    ]
    assert len(changes(invoice(16_000, **terms))) == 1


@pytest.mark.parametrize(("ends_on", "holds"), [("2026-10-01", False), ("2026-10-02", True)])
def test_price_protection_holds_if_it_has_not_ended_on_the_first_day(ends_on: str, holds: bool) -> None:
    assert bool(changes(invoice(20_000, protection=PriceProtection(0, day(ends_on))))) is holds


def test_protections_that_are_none() -> None:
    with pytest.raises(TermsError, match="negative"):
        PriceProtection(-1, day("2027-01-01"))
    with pytest.raises(TermsError, match="must be a date"):
        PriceProtection(1, "2027-01-01")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        PriceProtection(1.5, day("2027-01-01"))  # type: ignore[arg-type]
