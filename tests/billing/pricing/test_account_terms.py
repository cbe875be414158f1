"""What holds for an account in a month, after a list of changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.errors import ContractError, TermsError
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.terms import (
    Change,
    Enrolment,
    MoreRuns,
    NewEnd,
    NewPlan,
    ProgramEnd,
    Protection,
    Terms,
    Withdrawal,
    terms_of,
)
from billing.pricing.terms_data import change_from_data, change_to_data
from metering.period import Month

STARTER = Enrolment(Month(2026, 1), "starter", "2021-02")
STARTUP = Program(ProgramName.STARTUPS, Decimal(100), date(2026, 3, 15), date(2026, 6, 15))
NONPROFIT = Program(ProgramName.NONPROFITS, Decimal(20), date(2026, 1, 1), date(2027, 7, 1))
APRIL = date(2026, 4, 1)
GRANT = Grant("g1", 1_000_000, 900_00, date(2026, 4, 1), date(2027, 4, 1))
CONTRACT = Contract(
    "acme-2026",
    "acme",
    date(2026, 4, 1),
    date(2027, 4, 1),
    "standard@2021-02",
    "USD",
    Instalments.QUARTERLY,
    (GRANT,),
    (Service("Onboarding", 1500_00, date(2026, 4, 1)),),
)
MORE = MoreRuns("acme-2026", Grant("g2", 50_000, 40_00, date(2026, 9, 10), date(2027, 1, 1)))


def month(text: str) -> Month:
    return Month.parse(text)


def plans(terms: Terms, *months: str) -> list[str]:
    return [terms.plan(month(each)) for each in months]


def test_an_enrolment_holds_from_its_month_on_in_place_of_later_ones() -> None:
    standard = Enrolment(month("2026-05"), "standard", "2021-02")
    developer = Enrolment(month("2026-03"), "developer", "2021-02")
    assert plans(terms_of([STARTER, standard]), "2025-12", "2026-04", "2026-05", "2027-01") == [
        "starter@2021-02",
        "starter@2021-02",
        "standard@2021-02",
        "standard@2021-02",
    ]
    assert plans(terms_of([STARTER, standard, developer]), "2026-02", "2026-05") == [
        "starter@2021-02",
        "developer@2021-02",
    ]


def test_under_contract_its_plan_holds_and_after_its_term_too() -> None:
    terms = terms_of([STARTER, CONTRACT])
    assert plans(terms, "2026-03", "2026-04", "2027-03", "2027-04", "2030-01") == [
        "starter@2021-02",
        "standard@2021-02",
        "standard@2021-02",
        "standard@2021-02",
        "standard@2021-02",
    ]
    assert [terms.contract(month(m)) for m in ("2026-03", "2027-04")] == [None, None]
    assert terms.contract(month("2027-03")) == CONTRACT


@pytest.mark.parametrize(
    ("since", "then"), [("2027-04", "developer@2021-02"), ("2027-06", "developer@2021-02")]
)
def test_after_its_term_another_plan_may_be_agreed(since: str, then: str) -> None:
    terms = terms_of([STARTER, CONTRACT, Enrolment(month(since), "developer", "2021-02")])
    assert terms.plan(month("2027-06")) == then
    assert terms.plan(month("2027-03")) == "standard@2021-02"


def test_the_last_plan_of_a_contract_is_that_of_the_months_after_it() -> None:
    repriced = NewPlan("acme-2026", month("2026-11"), "starter@2021-11")
    terms = terms_of([STARTER, CONTRACT, repriced])
    assert plans(terms, "2026-10", "2026-11", "2027-03", "2027-04") == [
        "standard@2021-02",
        "starter@2021-11",
        "starter@2021-11",
        "starter@2021-11",
    ]
    with pytest.raises(ContractError, match="cannot change from 2027-04 on, which is not in its term"):
        terms_of([STARTER, CONTRACT, replace(repriced, from_month=month("2027-04"))])


def test_a_grant_is_added_and_the_end_is_moved() -> None:
    terms = terms_of([STARTER, CONTRACT, MORE, NewEnd("acme-2026", date(2026, 12, 1))])
    contract = terms.find_contract("acme-2026")
    assert [(each.id, each.expires_on) for each in contract.grants] == [
        ("g1", date(2026, 12, 1)),
        ("g2", date(2026, 12, 1)),
    ]
    longer = terms_of([STARTER, CONTRACT, MORE, NewEnd("acme-2026", date(2027, 7, 1))])
    assert [each.expires_on for each in longer.contracts[0].grants] == [date(2027, 4, 1), date(2027, 1, 1)]
    extended = terms_of([STARTER, CONTRACT, MORE, NewEnd("acme-2026", date(2027, 7, 1), extend_grants=True)])
    assert [each.expires_on for each in extended.contracts[0].grants] == [date(2027, 7, 1), date(2027, 1, 1)]


def test_a_contract_cannot_end_before_what_it_grants_begins() -> None:
    with pytest.raises(ContractError, match="grant g2"):
        terms_of([STARTER, CONTRACT, MORE, NewEnd("acme-2026", date(2026, 9, 1))])


def test_contracts_of_an_account_do_not_overlap_however_they_come_about() -> None:
    next_year = replace(CONTRACT, id="acme-2027", start=date(2027, 4, 1), end=date(2028, 4, 1), grants=())
    both = [STARTER, CONTRACT, next_year]
    assert terms_of(both).contract(month("2027-04")) == next_year
    with pytest.raises(ContractError, match="overlaps"):
        terms_of([STARTER, next_year, replace(CONTRACT, end=date(2027, 5, 1))])
    with pytest.raises(ContractError, match="overlaps"):
        terms_of([*both, NewEnd("acme-2026", date(2027, 5, 1))])


def test_a_withdrawn_contract_never_held() -> None:
    terms = terms_of([STARTER, CONTRACT, MORE, Withdrawal("acme-2026")])
    assert terms == terms_of([STARTER])
    assert terms_of([STARTER, CONTRACT, Withdrawal("acme-2026"), CONTRACT]).contracts == (CONTRACT,)


def test_what_is_not_there_cannot_be_changed() -> None:
    for change in (MORE, NewEnd("acme-2026", date(2027, 1, 1)), Withdrawal("acme-2026")):
        with pytest.raises(ContractError, match="there is no contract acme-2026"):
            terms_of([STARTER, change])
    with pytest.raises(TermsError, match="not in program startups"):
        terms_of([STARTER, ProgramEnd(ProgramName.STARTUPS, date(2026, 1, 1))])


def test_a_program_is_left() -> None:
    early = terms_of([STARTER, STARTUP, ProgramEnd(ProgramName.STARTUPS, date(2026, 5, 1))])
    assert early.programs == (replace(STARTUP, ends_on=date(2026, 5, 1)),)
    never = terms_of([STARTER, STARTUP, ProgramEnd(ProgramName.STARTUPS, date(2026, 3, 15))])
    assert never.programs == ()


def test_protection_holds_from_its_month_until_its_end() -> None:
    first = Protection(month("2026-02"), PriceProtection(100_00, date(2026, 8, 1)))
    second = Protection(month("2026-04"), PriceProtection(150_00, date(2026, 6, 15)))
    terms = terms_of([STARTER, first, second])
    held = [terms.protection(month(f"2026-{m:02d}")) for m in range(1, 9)]
    charges = [None if each is None else each.charge for each in held]
    assert charges == [None, 100_00, 100_00, 150_00, 150_00, 150_00, None, None]


@pytest.mark.parametrize(
    ("change", "reached"),
    [
        (Enrolment(Month(2026, 9), "developer", "2021-02"), []),  # the contract prices these months
        (Enrolment(Month(2026, 2), "developer", "2021-02"), ["2026-02", "2026-03"]),
        (MORE, ["2026-09", "2026-10", "2026-11", "2026-12"]),
        (NewEnd("acme-2026", date(2027, 7, 1), extend_grants=True), []),
        (NewEnd("acme-2026", date(2026, 12, 1)), ["2026-12"]),
        (NewPlan("acme-2026", Month(2026, 11), "starter@2021-02"), ["2026-11", "2026-12"]),
        (STARTUP, ["2026-04", "2026-05", "2026-06"]),
        (ProgramEnd(ProgramName.NONPROFITS, date(2026, 11, 15)), ["2026-12"]),
        (ProgramEnd(ProgramName.NONPROFITS, date(2027, 1, 1)), []),
        (replace(NONPROFIT, starts_on=date(2026, 12, 1), ends_on=date(2028, 1, 1)), []),
        (replace(NONPROFIT, percentage=Decimal(30)), [f"2026-{m:02d}" for m in range(1, 13)]),
        (Protection(Month(2026, 11), PriceProtection(1, date(2026, 12, 1))), ["2026-11"]),
        (Protection(Month(2026, 1), PriceProtection(200_00, date(2026, 4, 1))), []),
        (Protection(Month(2026, 1), PriceProtection(200_00, date(2026, 3, 15))), []),
        (Protection(Month(2026, 1), PriceProtection(200_00, date(2026, 3, 1))), ["2026-03"]),
        (Withdrawal("acme-2026"), [f"2026-{m:02d}" for m in range(4, 13)]),
    ],
)
def test_a_change_reaches_the_months_whose_price_it_has_a_say_in(change: Change, reached: list[str]) -> None:
    agreed = [STARTER, CONTRACT, NONPROFIT, Protection(Month(2026, 1), PriceProtection(200_00, APRIL))]
    before = terms_of(agreed)
    after = terms_of([*agreed, change])
    months = [month(f"2026-{number:02d}") for number in range(1, 13)]
    assert [str(each) for each in months if before.in_month(each) != after.in_month(each)] == reached


def test_the_order_of_grants_that_outlive_a_month_has_no_say_in_its_price() -> None:
    """Cut to one end, the later grant comes first, since it was granted first: all the same to this month."""
    early = Grant("a", 10, 0, date(2026, 4, 1), date(2027, 4, 1))
    late = Grant("b", 10, 0, date(2026, 4, 2), date(2027, 2, 1))
    agreed = [STARTER, replace(CONTRACT, grants=(early, late))]
    before, after = terms_of(agreed), terms_of([*agreed, NewEnd("acme-2026", date(2026, 12, 1))])
    months = [month(f"2026-{number:02d}") for number in range(4, 13)]
    assert [str(each) for each in months if before.in_month(each) != after.in_month(each)] == ["2026-12"]


@pytest.mark.parametrize(
    "change",
    [
        STARTER,
        STARTUP,
        replace(STARTUP, percentage=Decimal("12.5")),
        ProgramEnd(ProgramName.ACADEMIA, date(2026, 5, 1)),
        Protection(Month(2026, 2), PriceProtection(100_00, date(2026, 8, 1))),
        CONTRACT,
        replace(CONTRACT, grants=(), services=()),
        MORE,
        NewEnd("acme-2026", date(2026, 12, 1), extend_grants=True),
        NewPlan("acme-2026", Month(2026, 11), "starter@2021-11"),
        Withdrawal("acme-2026"),
    ],
)
def test_changes_are_kept_as_data_and_come_back_the_same(change: Change) -> None:
    kind, data = change_to_data(change)
    assert change_from_data(kind, json.loads(json.dumps(data))) == change


def test_data_of_an_unknown_kind_is_no_change() -> None:
    with pytest.raises(ValueError, match="no change of terms of kind 'rebate'"):
        change_from_data("rebate", {})


def test_what_is_agreed_for_the_same_month_again_takes_its_place() -> None:
    first, second = (Enrolment(month("2026-03"), "standard", each) for each in ("2021-02", "2021-11"))
    assert terms_of([STARTER, first, second]).enrolments == (STARTER, second)
    one, other = (Protection(month("2026-03"), PriceProtection(cents, APRIL)) for cents in (1, 2))
    assert terms_of([STARTER, one, other]).protections == (other,)
    third, fourth = (NewPlan("acme-2026", month("2026-11"), f"starter@{each}") for each in ("1", "2"))
    assert terms_of([STARTER, CONTRACT, third, fourth]).repriced == (fourth,)


NEXT_YEAR = replace(CONTRACT, id="acme-2027", start=date(2027, 4, 1), end=date(2028, 4, 1), grants=())


def test_of_two_contracts_each_has_its_own_changes() -> None:
    """A plan, a grant, an end, a withdrawal of one of them: the other stays as it was."""
    plan = NewPlan("acme-2026", month("2026-11"), "starter@1")
    later = NewPlan("acme-2027", month("2027-11"), "starter@2")
    both = [STARTER, CONTRACT, NEXT_YEAR]
    assert terms_of([*both, later, plan]).repriced == (later, plan)
    assert terms_of([*both, plan, replace(later, from_month=month("2027-05"))]).repriced[0] == plan
    granted = terms_of([*both, MORE])
    assert [[each.id for each in held.grants] for held in granted.contracts] == [["g1", "g2"], []]
    left = terms_of([*both, plan, later, Withdrawal("acme-2027")])
    assert (left.contracts, left.repriced) == ((CONTRACT,), (plan,))
    assert terms_of([*both, plan, later]).plan_ids() == {
        "starter@2021-02",
        "standard@2021-02",
        "starter@1",
        "starter@2",
    }


def test_a_month_knows_its_contract_and_what_was_granted_by_its_end() -> None:
    in_april = terms_of([STARTER, CONTRACT]).in_month(month("2026-04"))
    assert (in_april.contract, in_april.grants) == (
        "acme-2026",
        (replace(GRANT, expires_on=date(2026, 5, 1)),),
    )
    on_the_first = MoreRuns("acme-2026", replace(MORE.grant, granted_on=date(2026, 5, 1)))
    assert terms_of([STARTER, CONTRACT, on_the_first]).in_month(month("2026-04")) == in_april
    renamed = terms_of([STARTER, replace(CONTRACT, id="other")]).in_month(month("2026-04"))
    assert renamed == replace(in_april, contract="other")


def test_who_leaves_a_program_keeps_the_others_and_what_is_over() -> None:
    over = replace(STARTUP, starts_on=date(2026, 1, 1), ends_on=date(2026, 2, 1))
    leaves = ProgramEnd(ProgramName.STARTUPS, date(2026, 5, 1))
    left = terms_of([STARTER, over, NONPROFIT, STARTUP, leaves]).programs
    assert left == (over, NONPROFIT, replace(STARTUP, ends_on=date(2026, 5, 1)))
    for change in (leaves, replace(leaves, ends_on=STARTUP.ends_on)):
        with pytest.raises(TermsError):
            terms_of([STARTER, over, NONPROFIT, *([STARTUP] if change is not leaves else []), change])


def test_a_grant_that_ends_on_the_new_end_is_as_it_was() -> None:
    longer = terms_of([STARTER, CONTRACT, NewEnd("acme-2026", date(2028, 1, 1))]).contracts[0]
    assert longer.grants == CONTRACT.grants, "grants are extended where that is asked for"
    assert CONTRACT.with_end(date(2028, 1, 1)) == longer
    assert CONTRACT.with_plan("starter@1") == replace(CONTRACT, plan="starter@1")
