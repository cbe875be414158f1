"""A contract that exists is valid; what is not is refused with one sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from billing.pricing.contract import Contract, Grant, Instalments, Service, plan_of, refuse_overlap
from billing.pricing.errors import ContractError, CurrencyMismatch, PricingError, UnknownPlan
from metering.period import Month
from tests.billing.pricing.contracts import ACME, acme, day, grant
from tests.billing.pricing.data import LATER, SHIPPED

ONBOARDING = Service("Onboarding", 150_000, day("2026-01-01"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": ""}, "'' is not a contract's id"),
        ({"id": "a/b"}, "'a/b' is not a contract's id"),
        ({"id": "a" * 65}, "is not a contract's id"),
        ({"account": "ac me"}, "contract acme-2026: 'ac me' is not an account's id"),
        ({"plan": ""}, "name the plan"),
        ({"instalments": "weekly"}, "'weekly' is not known; known: upfront, quarterly, monthly"),
        ({"currency": "usd"}, "contract acme-2026: currency 'usd' is not a currency"),
        ({"start": day("2026-01-15")}, "the term starts on 2026-01-15, inside a month"),
        ({"end": day("2026-12-31")}, "the term ends on 2026-12-31, inside a month"),
        ({"end": day("2025-01-01")}, "ends on 2025-01-01, which is not after its start on 2026-01-01"),
        ({"end": day("2026-01-01")}, "ends on 2026-01-01, which is not after its start"),
        ({"start": datetime(2026, 1, 1)}, "start must be a date such as 2026-01-01"),  # noqa: DTZ001
        ({"end": "2027-01-01"}, "end must be a date such as 2026-01-01"),
        ({"start": day("1999-01-01")}, "start must be a date such as 2026-01-01, not '1999-01-01'"),
    ],
)
def test_what_a_contract_must_not_be(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError) as error:
        replace(ACME, grants=(), **changes)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, PricingError)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": "g 1"}, "contract acme-2026: 'g 1' is not a grant's id"),
        ({"runs": 0}, "contract acme-2026, grant g: runs must be a whole number from 1"),
        ({"runs": -5}, "runs must be a whole number from 1 to 1,000,000,000,000,000, not -5"),
        ({"runs": 1.5}, "runs must be a whole number"),
        ({"runs": True}, "runs must be a whole number"),
        ({"runs": 10**15 + 1}, "runs must be a whole number"),
        ({"price": -1}, "grant g: the price is negative"),
        ({"price": 10**17}, "grant g: the price is too large"),
        ({"granted_on": day("2025-12-31")}, "2025-12-31 to 2027-01-01 is not inside the contract's term"),
        ({"expires_on": day("2027-01-02")}, "2026-01-01 to 2027-01-02 is not inside the contract's term"),
        ({"expires_on": day("2026-01-01")}, "it expires on 2026-01-01, which is not after it is granted"),
        ({"granted_on": None}, "granted_on must be a date such as 2026-01-01, not 'None'"),
        ({"expires_on": datetime(2026, 6, 1)}, "expires_on must be a date"),  # noqa: DTZ001
    ],
)
def test_what_a_grant_must_not_be(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError) as error:
        acme(replace(grant("g", 1_000), **changes))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"description": "  "}, "contract acme-2026, service 2: describe it in one line"),
        ({"description": "two\nlines"}, "describe it in one line"),
        ({"price": -1}, "service 2: the price is negative"),
        ({"due_on": "2026-01-01"}, "service 2: due_on must be a date"),
    ],
)
def test_what_a_service_must_not_be(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError) as error:
        acme(services=(ONBOARDING, replace(ONBOARDING, **changes)))
    assert sentence in str(error.value)


def test_a_price_is_an_integer_of_coins_that_exist() -> None:
    with pytest.raises(TypeError):
        acme(replace(grant("g", 1_000), price=9.0))  # type: ignore[arg-type]
    acme(grant("g", 1_000, price=500), currency="ISK")
    with pytest.raises(ContractError, match=r"the price 5\.01 ISK is not an amount; ISK has no decimals"):
        acme(grant("g", 1_000, price=501), currency="ISK")


def test_two_grants_have_two_ids() -> None:
    with pytest.raises(ContractError, match="grant g1 comes twice"):
        ACME.with_grant(grant("g1", 5))
    more = ACME.with_grant(grant("g2", 5, "2026-06-15"))
    assert [g.id for g in more.grants] == ["g1", "g2"]
    assert len(ACME.grants) == 1


def test_the_smallest_and_the_edge_of_a_grant_are_allowed() -> None:
    acme(Grant("g", 1, 0, day("2026-12-31"), day("2027-01-01")), Grant("h", 10**15, 0, ACME.start, ACME.end))


def test_a_contract_covers_the_months_of_its_term() -> None:
    assert [str(month) for month in ACME.months] == [f"2026-{number:02d}" for number in range(1, 13)]
    covered = [ACME.covers(month) for month in (Month(2025, 12), Month(2026, 1), Month(2026, 12))]
    assert covered == [False, True, True]
    assert not ACME.covers(Month(2027, 1))


def test_contracts_of_one_account_do_not_overlap() -> None:
    def term(id: str, start: str, end: str, account: str = "acme") -> Contract:
        return replace(ACME, id=id, account=account, start=day(start), end=day(end), grants=())

    first = term("first", "2026-01-01", "2026-07-01")
    refuse_overlap(
        [first, term("next", "2026-07-01", "2027-01-01"), term("o", "2026-01-01", "2027-01-01", "o")]
    )
    refuse_overlap([first, term("before", "2025-01-01", "2026-01-01")])
    for start, end in [
        ("2026-06-01", "2026-12-01"),
        ("2025-01-01", "2026-02-01"),
        ("2026-02-01", "2026-03-01"),
        ("2025-01-01", "2028-01-01"),
    ]:
        with pytest.raises(ContractError, match=r"contract other .* overlaps with contract first"):
            refuse_overlap([first, term("other", start, end)])


def test_the_plan_of_a_contract() -> None:
    both = SHIPPED.add(*LATER)
    assert plan_of(ACME, both).id == "standard@2021-02"
    assert plan_of(replace(ACME, plan="standard"), both).id == "standard@2021-11"
    early = replace(ACME, plan="standard", start=date(2021, 10, 1))
    assert plan_of(early, both).id == "standard@2021-02"
    with pytest.raises(UnknownPlan, match="there is no plan 'gold'"):
        plan_of(replace(ACME, plan="gold"), both)
    with pytest.raises(CurrencyMismatch, match="contract acme-2026 is in EUR, but plan standard@2021-02"):
        plan_of(acme(currency="EUR"), both)


def test_instalments_are_named_as_people_write_them() -> None:
    assert [kind.value for kind in Instalments] == ["upfront", "quarterly", "monthly"]
