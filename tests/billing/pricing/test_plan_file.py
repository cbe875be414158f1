"""The plan file in its three formats, and what is refused in it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from billing.pricing.catalogue import PlanVersion
from billing.pricing.errors import CatalogueError
from billing.pricing.plan_file import parse_plan_file, plans_from_data
from tests.billing.pricing.data import SHIPPED, STARTER

SMALL = {
    "plan": "small",
    "version": "v1",
    "effective_from": "2026-01-01",
    "currency": "USD",
    "soft_limit": None,
    "brackets": [{"up_to": 10_000, "unit_price": "0"}, {"up_to": None, "unit_price": "0.0025"}],
}

YAML = """
- plan: small
  version: v1
  effective_from: 2026-01-01   # a YAML date
  currency: USD
  soft_limit: null
  brackets:
    - {up_to: 10_000, unit_price: 0}
    - {up_to: null, unit_price: 0.0025}
"""

TOML = """
[[plans]]
plan = "small"
version = "v1"
effective_from = 2026-01-01
currency = "USD"
brackets = [{ up_to = 10_000, unit_price = 0 }, { unit_price = 0.0025 }]
"""


def small(**changes: object) -> dict[str, object]:
    return {**SMALL, **changes}


def priced(price: object) -> dict[str, object]:
    return small(brackets=[{"up_to": 10, "unit_price": "0"}, {"up_to": None, "unit_price": price}])


def test_a_soft_limit_is_read() -> None:
    free = [{"up_to": 10_000, "unit_price": "0"}, {"up_to": None, "unit_price": "0"}]
    assert one(small(soft_limit=10_000, brackets=free)).soft_limit == 10_000


def one(data: object) -> PlanVersion:
    (version,) = plans_from_data(data)
    return version


def test_the_three_formats_say_the_same() -> None:
    from_json = parse_plan_file(json.dumps(SMALL), "small.json")
    assert from_json == parse_plan_file(json.dumps([SMALL]), "SMALL.JSON")
    assert from_json == parse_plan_file(YAML, "small.yaml") == parse_plan_file(YAML, "dir.d/small.yml")
    assert from_json == parse_plan_file(TOML, "small.toml")
    assert from_json[0].to_data() == SMALL


def test_a_list_keeps_its_order() -> None:
    data = [version.to_data() for version in reversed(list(SHIPPED))]
    assert [version.id for version in plans_from_data(data)] == [
        "starter@2021-02",
        "standard@2021-02",
        "developer@2021-02",
    ]


def test_what_is_printed_can_be_loaded() -> None:
    assert one(json.loads(json.dumps(STARTER.to_data()))) == STARTER


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ('"0.0025"', "0.0025"),
        ('"0.00250"', "0.0025"),
        ("0.0025", "0.0025"),
        ("2.5e-3", "0.0025"),
        ("0.1", "0.1"),
        ("0.000000000001", "0.000000000001"),
        ("100", "100"),
        ('"100.00"', "100"),
        ("-0.0", "0"),
        ("0", "0"),
    ],
)
def test_a_price_is_read_from_its_digits(written: str, price: str) -> None:
    text = json.dumps(priced("HERE")).replace('"HERE"', written)
    (version,) = parse_plan_file(text, "a.json")
    assert version.brackets[-1].unit_price == Decimal(price)
    assert version.to_data()["brackets"][-1]["unit_price"] == price  # type: ignore[index]


@pytest.mark.parametrize(
    ("price", "says"),
    [
        (0.0025, r"plan small@v1, bracket 2: unit_price 0.0025 came as a binary float"),
        (True, r"plan small@v1, bracket 2: unit_price 'True' is not a price"),
        (None, r"plan small@v1, bracket 2: unit_price 'None' is not a price"),
        ("free", r"plan small@v1, bracket 2: unit_price 'free' is not a price"),
        ("1e-3", r"bracket 2: unit_price '1e-3' is not a price"),
        ("0,0025", r"bracket 2: unit_price '0,0025' is not a price"),
        ("NaN", r"bracket 2: unit_price 'NaN' is not a price"),
        (Decimal("NaN"), r"bracket 2: unit_price 'NaN' is not a price"),
        (Decimal("1E+999999"), r"bracket 2: unit_price '1E\+999999' is not a price"),
        (10**60, r"bracket 2: unit_price .* is not a price"),
        ("-0.1", r"plan small@v1, bracket 2: unit_price -0.1 is negative"),
        ("0.0000000000001", r"plan small@v1, bracket 2: .* has 13 decimal places"),
    ],
)
def test_a_price_that_is_none_is_refused(price: object, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        plans_from_data(priced(price))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "at least one plan"),
        ({"plans": []}, "at least one plan"),
        ("starter", "plan 1 of the file must be an object"),
        (None, "plan 1 of the file must be an object"),
        ([SMALL, 5], "plan 2 of the file must be an object"),
        ([SMALL, SMALL], "plan small@v1 comes twice in the file"),
        ([SMALL, small(currency="EUR")], "plan small@v1 comes twice in the file"),
        (small(fee="5"), "plan small@v1: unknown key 'fee'; known: plan, version"),
        (
            small(brackets=[{"up_to": None, "price": "0"}]),
            "plan small@v1, bracket 1: unknown key 'price'; known: up_to",
        ),
        (small(brackets=[{"up_to": None}]), "plan small@v1, bracket 1: unit_price is missing"),
        (
            small(brackets=[{"unit_price": "0"}, {"unit_price": "0"}]),
            "bracket 1: only the last bracket may be open",
        ),
        (small(brackets=["free"]), "plan small@v1, bracket 1 must be an object"),
        (small(brackets=[]), "plan small@v1 has no brackets"),
        (small(brackets={}), "plan small@v1: brackets must be a list"),
        (
            small(brackets=[{"up_to": "10", "unit_price": "0"}, {"unit_price": "0"}]),
            "bracket 1: up_to .* not '10'",
        ),
        (
            small(brackets=[{"up_to": 10.0, "unit_price": "0"}, {"unit_price": "0"}]),
            "bracket 1: up_to .* not 10.0",
        ),
        (small(effective_from="1 Jan 2026"), "plan small@v1: effective_from '1 Jan 2026' is not a date"),
        (small(effective_from="2026-02-30"), "plan small@v1: effective_from '2026-02-30' is not a date"),
        (small(effective_from="20260101"), "plan small@v1: effective_from '20260101' is not a date"),
        (small(effective_from=None), "plan small@v1: effective_from 'None' is not a date"),
        (small(version=2026), "plan small: version must be text; put it in quotes"),
        (small(plan=7), "7 is not a plan's name"),
        (small(currency="dollar"), "plan small@v1: currency 'dollar' is not a currency"),
        ({"plan": "small", "version": "v1"}, "plan small@v1: effective_from, currency, brackets is missing"),
        ({}, "plan 1 of the file: plan, version, effective_from, currency, brackets is missing"),
    ],
)
def test_a_wrong_structure_is_refused_naming_the_place(data: object, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        plans_from_data(data)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("plans.txt", "{}", r"plans.txt: a plan file ends in .json, .yaml, .yml or .toml"),
        ("plans", "{}", "plans: a plan file ends in"),
        ("a.json", "{", "a.json cannot be read: "),
        ("a.json", "", "a.json cannot be read: "),
        ("a.json", "[NaN]", "a.json cannot be read: NaN is not a number"),
        ("a.json", '{"plan": "a", "plan": "b"}', "a.json cannot be read: the key 'plan' comes twice"),
        ("a.json", "[" * 100_000, "a.json cannot be read: "),
        ("a.yaml", "a: [", "a.yaml cannot be read: "),
        ("a.yaml", "plan: a\nplan: b", "a.yaml cannot be read: the key 'plan' comes twice"),
        ("a.yaml", "up_to: 010000", "a.yaml cannot be read: 010000 is not a plain decimal number"),
        ("a.yaml", "up_to: 1:30", "a.yaml cannot be read: 1:30 is not a plain decimal number"),
        ("a.yaml", "unit_price: .nan", "a.yaml cannot be read: .nan is not a plain decimal number"),
        ("a.yaml", "a: !!python/object/apply:os.getcwd []", "a.yaml cannot be read: "),
        ("a.yaml", "? [a, b]\n: c", "a.yaml cannot be read: "),
        ("a.yaml", "a: !!bool maybe", "a.yaml cannot be read: "),
        ("a.yaml", "a: !!map [b]", "a.yaml cannot be read: "),
        ("a.yaml", "a: !!float {b: 1}", "a.yaml cannot be read: "),
        ("a.yaml", "&a [*a]", "plan 1 of the file must be an object"),
        ("a.yaml", "plan: no", "plan 1 of the file: version, effective_from, currency, brackets is missing"),
        ("a.yaml", "", "plan 1 of the file must be an object"),
        ("a.toml", "plan = ", "a.toml cannot be read: "),
        ("a.toml", "plan = 'a'\nplan = 'b'", "a.toml cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(name: str, text: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=says) as caught:
        parse_plan_file(text, name)
    assert "\n" not in str(caught.value)
