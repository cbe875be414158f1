"""Contracts of committed runs, from their file to their ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metering import clock
from tests.billing.cli.conftest import Cli, event, lines

TERM = {
    "id": "acme-2024",
    "account": "acme",
    "start": "2024-03-01",
    "end": "2025-03-01",
    "plan": "standard@2021-02",
    "currency": "USD",
    "instalments": "quarterly",
    "grants": [
        {"id": "g1", "runs": 1000, "price": "900.00", "granted_on": "2024-03-01", "expires_on": "2025-03-01"}
    ],
    "services": [{"description": "Onboarding", "price": "1500.00", "due_on": "2024-03-01"}],
}


def add(cli: Cli, **changes: Any) -> Any:
    Path("contract.json").write_text(json.dumps(TERM | changes))
    return cli("contracts", "add", "contract.json")


@pytest.fixture
def acme(cli_on_both: Cli) -> Cli:
    """An account with a contract, on each engine; two runs were drawn."""
    cli_on_both.done("accounts", "add", "acme", "--billing-from", "2024-03")
    cli_on_both.done("ingest", "-", stdin=lines(event(1), event(2)))
    assert add(cli_on_both).code == 0
    return cli_on_both


def test_a_contract_is_added_and_shown(acme: Cli) -> None:
    shown = acme.json("contracts", "show", "acme-2024")
    expired = {"grant": "g1", "effective_on": "2025-03-01", "quantity": -998, "corrects": None}
    assert shown["ledger"].pop(2).items() >= (expired | {"kind": "expiry"}).items()
    assert [(each["kind"], each["effective_on"], each["quantity"]) for each in shown.pop("ledger")] == [
        ("grant", "2024-03-01", 1000),
        ("usage", "2024-03-05", -2),
    ]
    assert shown == TERM | {
        "grants": [TERM["grants"][0] | {"left": 0}],  # type: ignore[index,operator]
        "services": [TERM["services"][0] | {"delivered_on": None}],  # type: ignore[index,operator]
        "plans": [{"from": "2024-03", "plan": "standard@2021-02"}],
        "balance": 0,
    }
    assert acme.json("contracts", "list") == [TERM]
    assert acme.json("contracts", "list", "--account", "acme") == [TERM]
    assert acme.json("contracts", "list", "--account", "other") == []
    text = acme.done("contracts", "show", "acme-2024").out
    for each in ("acme, 2024-03-01 to 2025-03-01", "quarterly", "1,000", "owed", "-998"):
        assert each in text
    assert "acme-2024" in acme.done("contracts", "list").out
    assert acme.json("accounts", "show", "acme")["contracts"][0]["id"] == "acme-2024"


def test_a_contract_is_changed(acme: Cli) -> None:
    granted = acme.json(
        "contracts", "grant", "acme-2024", "500", "--price", "450.00", "--from", "2024-09-01",
        "--expires", "2025-01-01",
    )  # fmt: skip
    assert granted["grants"][1] == {
        "id": "g2", "runs": 500, "price": "450.00", "granted_on": "2024-09-01", "expires_on": "2025-01-01",
        "left": 0,
    }  # fmt: skip
    named = ["contracts", "grant", "acme-2024", "5", "--price", "0", "--from", "2024-09-01", "--id", "gift"]
    assert acme.json(*named)["grants"][2]["id"] == "gift"
    amended = acme.json(
        "contracts", "amend", "acme-2024", "--end", "2025-06-01", "--extend-grants", "--plan", "starter",
        "--from", "2024-06", "--reason", "agreed by mail",
    )  # fmt: skip
    assert (amended["end"], amended["grants"][0]["expires_on"]) == ("2025-06-01", "2025-06-01")
    assert amended["grants"][1]["expires_on"] == "2025-01-01"
    assert amended["plans"][1] == {"from": "2024-06", "plan": "starter@2021-02"}
    delivered = acme.json("contracts", "deliver", "acme-2024", "onboarding", "--on", "2024-03-20")
    assert delivered["services"][0]["delivered_on"] == "2024-03-20"
    assert "was delivered on 2024-03-20 already" in acme("contracts", "deliver", "acme-2024", "1").error
    history = acme.json("accounts", "history", "acme")
    assert [each["kind"] for each in history] == [
        "plan", "contract", "grant", "grant", "contract_end", "contract_plan",
    ]  # fmt: skip
    text = acme.done("accounts", "history", "acme").out
    for each in (
        "contract acme-2024: 500 task runs for 450.00 USD, 2024-09-01 to 2025-01-01",
        "contract acme-2024 ends on 2025-06-01: agreed by mail",
    ):
        assert each in text


def test_a_contract_is_withdrawn(acme: Cli) -> None:
    withdrawn = acme.json("contracts", "withdraw", "acme-2024", "--reason", "never signed")
    assert withdrawn == {"id": "acme-2024", "withdrawn": True}
    assert "there is no contract 'acme-2024'" in acme("contracts", "show", "acme-2024").error
    assert acme.json("contracts", "list") == []
    assert add(acme).code == 0
    acme.done("run", "2024-03")
    refused = acme("contracts", "withdraw", "acme-2024")
    assert "was invoiced; end it instead: billing contracts amend acme-2024 --end DATE" in refused.error
    assert refused.code == 2


def test_a_term_that_reaches_into_an_invoiced_month_is_an_amendment(cli: Cli) -> None:
    cli.done("accounts", "add", "acme", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(event(1)))
    cli.done("run", "2024-03")
    refused = add(cli)
    assert "is invoiced for 2024-03 already" in refused.error
    assert cli.json("contracts", "list") == []
    cli.done("contracts", "add", "contract.json", "--amend", "--reason", "signed late")
    assert cli.json("accounts", "history", "acme")[-1]["amendment"] is True
    grant = ["contracts", "grant", "acme-2024", "5", "--price", "0", "--from", "2024-03-01"]
    assert "make it an amendment" in cli(*grant).error
    cli.done(*grant, "--amend")


FILES_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"account": "ghost"}, "there is no account 'ghost'"),
    ({"id": "acme-2024"}, "there is a contract acme-2024 already"),
    ({}, "overlaps with contract acme-2024"),
    ({"start": "2026-01-15", "end": "2027-01-01"}, "the term starts on 2026-01-15, inside a month"),
    ({"start": "2026-01-01", "end": "2027-01-15"}, "the term ends on 2027-01-15, inside a month"),
    ({"start": "2027-01-01", "end": "2026-01-01"}, "which is not after its start"),
    ({"start": "2026-02-30"}, "start '2026-02-30' is not a date"),
    ({"start": "2026-01-01", "end": "2027-01-01", "plan": "gold"}, "there is no plan 'gold'"),
    ({"start": "2026-01-01", "end": "2027-01-01", "currency": "EUR"}, "account acme is billed in USD"),
    ({"colour": "red"}, "unknown key 'colour'"),
    ({"grants": [{"id": "g", "runs": -1, "price": "1"}]}, "runs must be a whole number from 1"),
    ({"grants": [{"id": "g", "runs": 1, "price": "-1"}]}, "the price is negative"),
    ({"grants": [{"id": "g", "runs": 1, "price": "NaN"}]}, "price 'NaN' is not an amount"),
    (
        {"grants": [{"id": "g", "runs": 1, "price": "1", "expires_on": "2026-01-01"}]},
        "is not inside the contract's term",
    ),
]
REFUSED: list[tuple[list[str], str]] = [
    (["show", "none"], "there is no contract 'none'; see: billing contracts list"),
    (["add", "nowhere.json"], "nowhere.json: no such file or directory"),
    (["add", "bytes.json"], "not text in UTF-8"),
    (
        ["grant", "acme-2024", "5", "--price", "1", "--from", "2024-01-01"],
        "not inside the contract's term",
    ),
    (["grant", "acme-2024", "5", "--price", "-1", "--from", "2024-09-01"], "the price is negative"),
    (["grant", "acme-2024", "5", "--price", "NaN", "--from", "2024-09-01"], "'NaN' is not an amount"),
    (["grant", "acme-2024", "0", "--price", "1", "--from", "2024-09-01"], "whole number from 1"),
    (["grant", "acme-2024", "5", "--price", "1", "--from", "2024-09-01", "--id", "g1"], "comes twice"),
    (["grant", "none", "5", "--price", "1", "--from", "2024-09-01"], "there is no contract 'none'"),
    (["amend", "acme-2024"], "say what changes"),
    (["amend", "acme-2024", "--extend-grants"], "say its new end as well"),
    (["amend", "acme-2024", "--end", "2024-03-01"], "which is not after its start"),
    (["amend", "acme-2024", "--end", "2024-06-15"], "inside a month"),
    (["amend", "acme-2024", "--plan", "starter"], "needs the month from which it holds"),
    (["amend", "acme-2024", "--plan", "gold", "--from", "2024-06"], "there is no plan 'gold'"),
    (["amend", "acme-2024", "--plan", "starter", "--from", "2026-06"], "not in its term"),
    (["withdraw", "none"], "there is no contract 'none'"),
    (["deliver", "acme-2024", "Support"], "name it by its number: 1 Onboarding"),
    (["deliver", "acme-2024", "1", "--on", "tomorrow"], "'tomorrow' is not a date"),
]


def test_a_refusal_is_one_sentence_and_changes_nothing(acme: Cli) -> None:
    def books() -> Any:
        asked = (["accounts", "history", "acme"], ["contracts", "show", "acme-2024"], ["contracts", "list"])
        return [acme.json(*words) for words in asked]

    Path("bytes.json").write_bytes(b"\xff\xfe")
    before = books()
    for changes, says in FILES_REFUSED:
        refused = add(acme, **{"id": "second", "grants": []} | changes)
        assert says in refused.error, changes
        assert refused.code == 2
    for words, says in REFUSED:
        refused = acme("contracts", *words)
        assert says in refused.error, words
        assert refused.code == 2
    assert books() == before


def test_what_is_due_is_invoiced_once(acme: Cli) -> None:
    made = acme.json("contracts", "invoice", "--as-of", "2024-06-01")
    assert [(each["kind"], each["total"], each["status"]) for each in made] == [
        ("contract", 2 * 225_00 + 1500_00, "finalized")
    ]
    number = made[0]["number"]
    assert number.startswith(f"{clock.now():%Y-%m}-")
    assert acme.json("contracts", "invoice", "--as-of", "2024-06-01") == []
    assert (
        "Nothing of a contract is due by 2024-08-31"
        in acme.done("contracts", "invoice", "--as-of", "2024-08-31", "--contract", "acme-2024").out
    )
    assert "225.00 USD" in acme.done("contracts", "invoice", "--as-of", "2024-09-01").out
    shown = acme.done("invoices", "show", number).out
    for each in (
        "contract acme-2024",
        "Instalment 2 of 4, due 2024-06-01: 1,000 task runs (grant g1)",
        "Onboarding",
    ):
        assert each in shown
    assert "sha256" not in shown.lower()
    assert acme.json("invoices", "verify", number)["ok"] is True
    assert "has no task runs" in acme("invoices", "runs", number).error
    assert acme("contracts", "invoice", "--contract", "none").code == 2


def test_the_report_has_four_forms(acme: Cli, folder: Path) -> None:
    acme.done("contracts", "invoice", "--as-of", "2024-03-01")
    args = ("contracts", "report", "acme-2024", "--as-of", "2024-03-31")
    data = acme.json(*args)
    assert acme.done(*args, "--format", "json").out.startswith("{")
    assert {
        name: data[name] for name in ("contract", "account", "as_of", "committed", "used", "remaining")
    } == {
        "contract": "acme-2024",
        "account": "acme",
        "as_of": "2024-03-31",
        "committed": 1000,
        "used": 2,
        "remaining": 998,
    }
    assert [(each["due_on"], each["amount"], each["status"]) for each in data["instalments"]][:2] == [
        ("2024-03-01", 225_00, "invoiced"),
        ("2024-06-01", 225_00, "upcoming"),
    ]
    text = acme.done(*args).out
    for each in ("998", "2024-03", "225.00 USD", "upcoming", "not before the term ends", "invoiced, owed"):
        assert each in text
    csv = acme.done(*args, "--format", "csv").out
    assert csv.splitlines()[0].startswith("month,")
    acme.done(*args, "--format", "html", "-o", "report.html")
    page = Path("report.html").read_text()
    assert "<svg" in page and "acme-2024" in page
    assert acme("contracts", "report", "none").code == 2
    assert acme("contracts", "report", "acme-2024", "--as-of", "soon").code == 2
