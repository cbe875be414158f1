"""billing advise: an account's offers, contracts by risk, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.billing.cli.conftest import Cli, event, lines


@pytest.fixture
def known(cli: Cli) -> Cli:
    cli.done("accounts", "add", "acme", "--plan", "standard", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(event(1), event(2)))
    return cli


def test_an_account(known: Cli) -> None:
    data = known.json("advise", "acme", "--offer", "1000:2.00")
    assert (data["account"], data["plan"], data["past"]["billable"]) == ("acme", "standard@2021-02", 0)
    assert data["next"] is None and data["offers"][0]["past"]["saving"] == -200
    shown = known.done("advise", "acme", "--offer", "1000:2.00").out
    assert "Nothing ran in the last four weeks" in shown and "2.00 USD" in shown


def test_contracts_by_risk(known: Cli, folder: Path) -> None:
    assert known.json("advise") == []
    assert known.done("advise").out == "No contract is running.\n"
    grant = {"id": "g", "runs": 1000, "price": "2.00"}
    term = {"id": "c", "account": "acme", "start": "2024-01-01", "end": "2040-01-01", "plan": "standard"}
    contract = term | {"currency": "USD", "instalments": "upfront", "grants": [grant]}
    (folder / "contract.json").write_text(json.dumps(contract))
    known.done("contracts", "add", folder / "contract.json")
    (risk,) = known.json("advise")
    assert (risk["contract"], risk["risks"], risk["expected_unused"]) == ("c", ["unused"], 998)
    assert "unused" in known.done("advise").out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nobody",), "there is no account"),
        (("acme", "--offer", "x"), "is not an offer"),
        (("--offer", "1:1"), "name it"),
        (("acme", "--unit-price", "x"), "is not a price"),
    ],
)
def test_wrong_usage_is_one_line(known: Cli, args: tuple[str, ...], says: str) -> None:
    refused = known("advise", *args)
    assert refused.code == 2 and says in refused.error
