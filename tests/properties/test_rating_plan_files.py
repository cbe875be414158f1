"""Whatever an operator writes into a plan file, the answer is plan versions or one sentence."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing.errors import CatalogueError
from billing.pricing.plan_file import parse_plan_file, plans_from_data

KEYS = ["plan", "version", "effective_from", "currency", "soft_limit", "brackets", "up_to", "unit_price"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=8)
    | st.sampled_from(["starter", "2021-02", "2021-02-01", "USD", "usd", "0.0025", "-1", "1e5", "NaN"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


def valid() -> dict[str, object]:
    return {
        "plan": "starter",
        "version": "2021-02",
        "effective_from": "2021-02-01",
        "currency": "USD",
        "soft_limit": None,
        "brackets": [{"up_to": 10_000, "unit_price": "0"}, {"up_to": None, "unit_price": "0.0025"}],
    }


def assert_versions_or_one_sentence(data: object) -> None:
    try:
        versions = plans_from_data(data)
    except CatalogueError as error:
        assert str(error).splitlines() == [str(error)]
    else:
        assert all(plans_from_data(version.to_data()) == (version,) for version in versions)


@given(values)
def test_any_data(data: object) -> None:
    assert_versions_or_one_sentence(data)


@given(st.sampled_from(KEYS[:6]), values)
def test_any_value_in_a_plan(key: str, value: object) -> None:
    assert_versions_or_one_sentence({**valid(), key: value})


@given(st.sampled_from(["up_to", "unit_price", "more"]), st.integers(0, 1), values)
def test_any_value_in_a_bracket(key: str, number: int, value: object) -> None:
    data = valid()
    brackets = data["brackets"]
    assert isinstance(brackets, list)
    brackets[number][key] = value
    assert_versions_or_one_sentence(data)


@given(st.text(), st.sampled_from(["a.json", "a.yaml", "a.toml", "a"]))
def test_any_text(text: str, name: str) -> None:
    with pytest.raises(CatalogueError):
        parse_plan_file(text, name)


@given(st.integers(0, 10**23))
def test_a_price_is_read_alike_quoted_or_not(scaled: int) -> None:
    price = f"{Decimal(scaled).scaleb(-12):f}"
    quoted = {**valid(), "brackets": [{"up_to": None, "unit_price": price}]}
    text = json.dumps(quoted)
    expected = plans_from_data(quoted)
    assert parse_plan_file(text.replace(f'"{price}"', price), "a.json") == expected
    bare = yaml.safe_dump(quoted).replace(f"'{price}'", price)
    assert parse_plan_file(bare, "a.yaml") == expected
