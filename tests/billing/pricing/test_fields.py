"""Each refusal of terms says in one sentence what it is about, and names the field of the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing.pricing.contract import refuse_overlap
from billing.pricing.contract_file import contract_from_data
from billing.pricing.errors import PricingError
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, program_name
from billing.pricing.terms import Enrolment, NewPlan, ProgramEnd, terms_of
from metering.period import Month
from tests.billing.pricing.contracts import ACME, acme, day, grant
from tests.billing.pricing.terms import program
from tests.billing.pricing.test_contract import ONBOARDING
from tests.billing.pricing.test_contract_file import HEAD, with_grant

STARTER = Enrolment(Month(2026, 1), "starter", "2021-02")
STARTUP = program("50")
G = grant("g", 5)
SERVICE = {"description": "Onboarding", "price": "1.00", "due_on": "2026-01-01"}


def read(**changes: Any) -> Callable[[], object]:
    return lambda: contract_from_data(HEAD | changes)


def read_grant(**changes: Any) -> Callable[[], object]:
    return lambda: contract_from_data(with_grant(**changes))


def read_service(**changes: Any) -> Callable[[], object]:
    return lambda: contract_from_data(HEAD | {"services": [SERVICE | changes]})


@pytest.mark.parametrize(
    ("make", "field", "begins"),
    [
        (lambda: replace(ACME, id="a b"), "id", "'a b' is not a contract's id"),
        (lambda: replace(ACME, account=""), "account", "contract acme-2026: '' is not an account's id"),
        (lambda: replace(ACME, plan=""), "plan", "contract acme-2026: name the plan"),
        (lambda: replace(ACME, currency="XXX"), "currency", "contract acme-2026: currency "),
        (lambda: acme(start=5), "start", "contract acme-2026: start must be a date"),
        (lambda: acme(end=5), "end", "contract acme-2026: end must be a date"),
        (lambda: acme(end=ACME.start), "end", "contract acme-2026: the term ends on"),
        (lambda: acme(start=day("2026-01-02")), "start", "contract acme-2026: the term"),
        (lambda: acme(end=day("2026-12-31")), "end", "contract acme-2026: the term"),
        (lambda: acme(G, grant("h", 1), G), "id", "contract acme-2026: grant g comes twice; give each"),
        (lambda: refuse_overlap([ACME, replace(ACME, id="other")]), "start", "contract other"),
        (lambda: acme(replace(G, id="")), "id", "contract acme-2026: '' is not a grant's id"),
        (
            lambda: acme(replace(G, runs=-1_000)),
            "runs",
            "contract acme-2026, grant g: runs must be a whole number from 1 to 1,000,000,000,000,000, "
            "not -1,000",
        ),
        (
            lambda: acme(replace(G, runs=True)),
            "runs",
            "contract acme-2026, grant g: runs must be a whole number from 1 to 1,000,000,000,000,000, "
            "not True",
        ),
        (lambda: acme(replace(G, runs="5")), "runs", "contract acme-2026, grant g: runs must be a whole"),
        (lambda: acme(replace(G, granted_on=None)), "granted_on", "contract acme-2026, grant g: granted_on"),
        (lambda: acme(replace(G, expires_on=None)), "expires_on", "contract acme-2026, grant g: expires_on"),
        (lambda: acme(replace(G, expires_on=G.granted_on)), "expires_on", "contract acme-2026, grant g: it"),
        (lambda: acme(grant("g", 5, "2025-12-31")), "granted_on", "contract acme-2026, grant g: "),
        (lambda: acme(grant("g", 5, until="2027-01-02")), "expires_on", "contract acme-2026, grant g: "),
        (lambda: acme(replace(G, price=-1)), "price", "contract acme-2026, grant g: the price is negative"),
        (
            lambda: acme(replace(G, price=10**17)),
            "price",
            "contract acme-2026, grant g: the price is too large",
        ),
        (lambda: acme(replace(G, price=1), currency="ISK"), "price", "contract acme-2026, grant g: the pri"),
        (
            lambda: acme(services=(replace(ONBOARDING, description="x" * 201),)),
            "description",
            "contract acme-2026, service 1: describe it",
        ),
        (lambda: program_name("friends"), "program", "there is no program 'friends'; known: academia, sta"),
        (
            lambda: Program("friends", Decimal(5), day("2026-01-01"), day("2027-01-01")),  # type: ignore[arg-type]
            None,
            "there is no program 'friends'; known: academia, startups, nonprofits",
        ),
        (
            lambda: replace(STARTUP, starts_on=None),
            "until",
            "program startups: starts_on must be a date such as 2026-01-01, not 'None'",
        ),
        (
            lambda: replace(STARTUP, ends_on=5),
            "until",
            "program startups: ends_on must be a date such as 2026-01-01, not '5'",
        ),
        (lambda: program("5", "2026-01-01", "2026-01-01"), "until", "program startups: it ends on 2026-01"),
        (lambda: program("101"), "percent", "program startups: 101% is not a discount"),
        (lambda: program("1.00001"), "percent", "program startups: 1.00001% has 5 decimal places; at most 4"),
        (
            lambda: PriceProtection(-1, day("2027-01-01")),
            "charge",
            "price protection: the old monthly charge is negative; it must be 0 or more",
        ),
        (
            lambda: PriceProtection(1, "soon"),  # type: ignore[arg-type]
            "until",
            "price protection: its end must be a date such as 2026-01-01, not 'soon'",
        ),
        (
            lambda: terms_of([STARTER, STARTUP, ProgramEnd(STARTUP.name, STARTUP.ends_on)]),
            "on",
            "the account is not in program startups on 2027-01-01 or later",
        ),
        (
            lambda: terms_of([STARTER, ACME, NewPlan(ACME.id, Month(2027, 1), "starter@2021-02")]),
            "from",
            "contract acme-2026: its plan cannot change from 2027-01 on",
        ),
        (read(currency=5), "currency", "contract acme-2026: currency must be text such as USD"),
        (read(account=5), "account", "contract acme-2026: account must be text; put it in quotes"),
        (read(plan=5), "plan", "contract acme-2026: plan must be text; put it in quotes"),
        (
            read(instalments="x" * 41),
            "instalments",
            f"contract acme-2026: instalments {'x' * 40!r} is not known; known: upfront, quarterly, monthly",
        ),
        (read(start=5), "start", "contract acme-2026: start '5' is not a date; write it as YYYY-MM-DD"),
        (read(end="x" * 41), "end", f"contract acme-2026: end {'x' * 40!r} is not a date"),
        (read(grants={}), "grants", "contract acme-2026: grants must be a list"),
        (read(services={}), "services", "contract acme-2026: services must be a list"),
        (
            read(stop=1, pause=2),
            "stop",
            "a contract: unknown key 'stop', 'pause'; known: id, account, start, end, plan",
        ),
        (lambda: contract_from_data({"id": "c"}), "account", "a contract: account, start, end, plan"),
        (read(grants=[{"id": "g"}]), "runs", "contract acme-2026, grant 1: runs, price is missing"),
        (read(grants=[{"id": 5, "runs": 5, "price": 0}]), "id", "contract acme-2026, grant 1: id must be te"),
        (
            read_grant(runs="x" * 41),
            "runs",
            f"contract acme-2026, grant 1: runs must be a whole number, not {'x' * 40!r}",
        ),
        (read_grant(price=1.5), "price", "contract acme-2026, grant 1: price '1.5' is not an amount; write"),
        (read_grant(price="1.001"), "price", "contract acme-2026, grant 1: price '1.001' has 3 digits"),
        (
            lambda: contract_from_data(with_grant() | {"currency": "XXX"}),
            "currency",
            "contract acme-2026, grant 1: currency 'XXX' is not a currency",
        ),
        (read_grant(granted_on=5), "granted_on", "contract acme-2026, grant 1: granted_on '5' is not a date"),
        (read_grant(expires_on=5), "expires_on", "contract acme-2026, grant 1: expires_on '5' is not a date"),
        (read_service(description=5), "description", "contract acme-2026, service 1: description must be te"),
        (read_service(price=[]), "price", "contract acme-2026, service 1: price '[]' is not an amount"),
        (read_service(due_on=5), "due_on", "contract acme-2026, service 1: due_on '5' is not a date"),
    ],
)
def test_a_refusal_names_the_field(make: Callable[[], object], field: str | None, begins: str) -> None:
    with pytest.raises(PricingError) as error:
        make()
    assert error.value.field == field
    assert str(error.value).startswith(begins)


def test_the_longest_description_and_the_highest_price() -> None:
    acme(services=(replace(ONBOARDING, description="x" * 200, price=10**17 - 1),))


def test_a_term_of_one_month_is_a_term() -> None:
    assert acme(end=date(2026, 2, 1)).months == (Month(2026, 1),)
