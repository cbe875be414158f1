"""The file of a contract: its shape in three formats, its defaults, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.contract_file import contract_from_data, contract_to_data, parse_contract_file
from billing.pricing.errors import ContractError
from tests.billing.pricing.contracts import day

DATA: dict[str, Any] = {
    "id": "acme-2026",
    "account": "acme",
    "start": "2026-01-01",
    "end": "2027-01-01",
    "plan": "standard@2021-02",
    "currency": "USD",
    "instalments": "quarterly",
    "grants": [
        {
            "id": "g1",
            "runs": 1_000_000,
            "price": "900.00",
            "granted_on": "2026-01-01",
            "expires_on": "2027-01-01",
        }
    ],
    "services": [{"description": "Onboarding", "price": "1500.00", "due_on": "2026-01-01"}],
}
CONTRACT = Contract(
    id="acme-2026",
    account="acme",
    start=day("2026-01-01"),
    end=day("2027-01-01"),
    plan="standard@2021-02",
    currency="USD",
    instalments=Instalments.QUARTERLY,
    grants=(Grant("g1", 1_000_000, 90_000, day("2026-01-01"), day("2027-01-01")),),
    services=(Service("Onboarding", 150_000, day("2026-01-01")),),
)
HEAD = {key: DATA[key] for key in DATA if key not in ("grants", "services")}

YAML = """
id: acme-2026
account: acme
start: 2026-01-01
end: 2027-01-01
plan: standard@2021-02
currency: USD
instalments: quarterly
grants:
  - {id: g1, runs: 1_000_000, price: 900.00}
services:
  - {description: Onboarding, price: 1500, due_on: 2026-01-01}
"""
TOML = """
id = "acme-2026"
account = "acme"
start = 2026-01-01
end = 2027-01-01
plan = "standard@2021-02"
currency = "USD"
instalments = "quarterly"
[[grants]]
id = "g1"
runs = 1_000_000
price = 900.00
[[services]]
description = "Onboarding"
price = "1500.00"
due_on = 2026-01-01
"""


@pytest.mark.parametrize(
    ("name", "text"), [("c.json", json.dumps(DATA)), ("c.yaml", YAML), ("c.yml", YAML), ("C.TOML", TOML)]
)
def test_one_contract_in_three_formats(name: str, text: str) -> None:
    assert parse_contract_file(text, name) == CONTRACT


def test_a_contract_prints_what_its_file_said() -> None:
    assert contract_to_data(CONTRACT) == DATA
    assert contract_from_data(json.loads(json.dumps(contract_to_data(CONTRACT)))) == CONTRACT
    assert contract_to_data(contract_from_data(HEAD)) == HEAD | {"grants": [], "services": []}


@pytest.mark.parametrize(
    ("code", "price", "minor"), [("ISK", "900", 90_000), ("KWD", "0.125", 125), ("JPY", "7", 7)]
)
def test_prices_have_the_places_of_the_currency(code: str, price: str, minor: int) -> None:
    """Stripe counts krónur in hundredths, and nobody writes them."""
    held = {"granted_on": "2026-01-01", "expires_on": "2027-01-01"}
    services = [{"description": "Onboarding", "price": price, "due_on": "2026-01-01"}]
    said = {
        **DATA,
        "currency": code,
        "grants": [{"id": "g1", "runs": 1, "price": price, **held}],
        "services": services,
    }
    contract = contract_from_data(said)
    assert (contract.grants[0].price, contract.services[0].price) == (minor, minor)
    assert contract_to_data(contract) == said


def test_a_grant_is_for_the_term_unless_it_says_otherwise() -> None:
    grants = [
        {"id": "g", "runs": 5, "price": 0},
        {"id": "h", "runs": 5, "price": "0.50", "granted_on": "2026-06-15"},
    ]
    contract = contract_from_data(HEAD | {"grants": grants})
    assert contract.grants == (
        Grant("g", 5, 0, day("2026-01-01"), day("2027-01-01")),
        Grant("h", 5, 50, day("2026-06-15"), day("2027-01-01")),
    )


def with_grant(**changes: Any) -> dict[str, Any]:
    return HEAD | {"grants": [{"id": "g", "runs": 5, "price": "1.00"} | changes]}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "a contract must be an object with id, account"),
        ({}, "a contract: id, account, start, end, plan, currency, instalments is missing"),
        (HEAD | {"stop": 1}, "a contract: unknown key 'stop'; known: id, account"),
        (HEAD | {"id": 5}, "contract 5: id must be text; put it in quotes"),
        (HEAD | {"id": "a\nb"}, "'a\\nb' is not a contract's id"),
        (HEAD | {"id": "a\nb", "end": 5}, "contract a b: end '5' is not a date"),
        (HEAD | {"start": "2026-02-30"}, "contract acme-2026: start '2026-02-30' is not a date"),
        (HEAD | {"end": 2027}, "end '2027' is not a date; write it as YYYY-MM-DD"),
        (HEAD | {"start": "2026-01-15"}, "inside a month"),
        (HEAD | {"instalments": "weekly"}, "instalments 'weekly' is not known"),
        (HEAD | {"instalments": None}, "instalments 'None' is not known"),
        (HEAD | {"currency": 5}, "currency must be text"),
        (HEAD | {"currency": "XXX"}, "currency 'XXX' is not a currency"),
        (with_grant() | {"currency": "XXX"}, "currency 'XXX' is not a currency"),
        (HEAD | {"grants": {}}, "grants must be a list"),
        (HEAD | {"grants": [5]}, "contract acme-2026, grant 1 must be an object with id, runs"),
        (HEAD | {"grants": [{"id": "g"}]}, "contract acme-2026, grant 1: runs, price is missing"),
        (with_grant(runs="5"), "grant 1: runs must be a whole number, not '5'"),
        (with_grant(runs=True), "grant 1: runs must be a whole number, not 'True'"),
        (with_grant(runs=0), "grant g: runs must be a whole number from 1"),
        (with_grant(price="1.001"), "grant 1: price '1.001' has 3 digits after the point; USD has 2"),
        (with_grant(price="-1"), "grant g: the price is negative"),
        (with_grant(price=1.5), "price '1.5' is not an amount; write it like \"900.00\""),
        (with_grant(price=None), "price 'None' is not an amount"),
        (with_grant(granted_on=None), "granted_on 'None' is not a date"),
        (with_grant(expires_on="2027-02-01"), "is not inside the contract's term"),
        (HEAD | {"services": [{"description": "Onboarding"}]}, "service 1: price, due_on is missing"),
    ],
)
def test_what_is_refused(data: object, says: str) -> None:
    with pytest.raises(ContractError) as error:
        contract_from_data(data)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.txt", "{}", "c.txt: a contract file ends in .json"),
        ("c.json", "{", "c.json cannot be read: "),
        ("c.yaml", "id: a\nid: b", "c.yaml cannot be read: the key 'id' comes twice"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, text: str, says: str) -> None:
    with pytest.raises(ContractError) as error:
        parse_contract_file(text, name)
    assert says in str(error.value)
