"""/v1/backtests and /v1/what-if."""

from __future__ import annotations

import pytest

from tests.billing.api.client import Client
from tests.billing.backtest.worlds import DRAFT, random_world

YAML = {"Content-Type": "application/yaml"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def filled(lite: Client) -> Client:
    random_world(lite.world, 2)
    return lite


def test_a_backtest(filled: Client) -> None:
    asked = "/v1/backtests?months=2026-07:2026-10&solve=free-runs&solve=price:2&limit=3"
    data = filled.ask("POST", asked, headers=JSON, content=DRAFT).json()
    assert (data["from"], data["to"], data["partial"]) == ("2026-07", "2026-10", False)
    assert len(data["accounts"]) == 3 and data["accounts_left_off"] > 0
    assert [each["what"] for each in data["solved"]] == ["free_runs", "price:2"]
    assert data["drafts"] == [{"plan": "flow@draft", "instead_of": "flow"}]
    every = filled.ask("POST", "/v1/backtests", headers=YAML, content=DRAFT).json()
    assert (every["from"], every["to"]) == ("2025-11", "2026-10")
    assert every["totals"][-1]["billable"] >= data["totals"][-1]["billable"]


def test_what_if(filled: Client) -> None:
    data = filled.get("/v1/what-if?threshold=0.5&threshold=2&months=2026-08:2026-10").json()
    assert [each["threshold"] for each in data["thresholds"]] == ["0.5", "2"]
    low, high = (each["billable"] for each in data["thresholds"])
    assert low >= data["billable_now"] >= high
    assert (
        sum(each["completed"] for each in data["histogram"] if each["billable_now"]) == data["billable_now"]
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?months=2026-10:2026-07", "months"),
        ("?months=x", "months"),
        ("?solve=x", "solve"),
        ("?instead_of=x", "instead_of"),
        ("?threshold=x", "threshold"),
    ],
)
def test_what_is_wrong_is_named(filled: Client, query: str, field: str) -> None:
    refused = filled.ask("POST", f"/v1/backtests{query}", headers=JSON, content=DRAFT)
    assert refused.status_code == 422 and refused.json()["field"] == field
