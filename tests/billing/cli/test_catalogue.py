"""Accounts, plans and keys."""

from __future__ import annotations

import json
from pathlib import Path

from tests.billing.cli.conftest import Cli, event, lines

STARTER = {
    "plan": "starter",
    "version": "2021-02",
    "effective_from": "2021-02-01",
    "currency": "USD",
    "soft_limit": None,
    "brackets": [
        {"up_to": 10000, "unit_price": "0"},
        {"up_to": 100000, "unit_price": "0.0025"},
        {"up_to": 1000000, "unit_price": "0.00125"},
        {"up_to": 10000000, "unit_price": "0.000625"},
        {"up_to": None, "unit_price": "0.0003125"},
    ],
}


def test_an_account_is_added_and_shown(cli_on_both: Cli) -> None:
    cli = cli_on_both
    added = cli.json(
        "accounts", "add", "acme", "--billing-from", "2024-03", "--name", "Acme [Ltd]",
        "--email", "a@acme.example",
    )  # fmt: skip
    assert added == {
        "id": "acme",
        "name": "Acme [Ltd]",
        "email": "a@acme.example",
        "currency": "USD",
        "billing_from": "2024-03",
        "closed_on": None,
        "plans": [{"from": "2024-03", "plan": "starter@2021-02"}],
        "contracts": [],
        "programs": [],
        "price_protection": [],
        "details": {},
        "stripe_customer_id": None,
    }
    assert cli.json("accounts", "show", "acme") == added
    assert cli.json("accounts", "list") == [added]
    assert "Acme [Ltd]" in cli.done("accounts", "list").out
    assert "account acme exists already" in cli("accounts", "add", "acme").error


def test_a_plan_is_set_from_a_month_on(cli: Cli) -> None:
    cli.done("accounts", "add", "acme", "--billing-from", "2024-03")
    changed = cli.json("accounts", "set-plan", "acme", "standard", "--from", "2024-05")
    assert changed["plans"] == [
        {"from": "2024-03", "plan": "starter@2021-02"},
        {"from": "2024-05", "plan": "standard@2021-02"},
    ]
    assert "standard@2021-02 from 2024-05" in cli.done("accounts", "show", "acme").out


def test_a_plan_may_not_reach_into_an_invoiced_month(cli: Cli) -> None:
    cli.done("accounts", "add", "acme", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(event(1)))
    cli.done("run", "2024-03")
    refused = cli("accounts", "set-plan", "acme", "standard", "--from", "2024-03")
    assert "invoiced for 2024-03 already, which this would change; choose a later month" in refused.error
    assert refused.code == 2


def test_plans_are_shown_in_the_shape_of_their_file(cli: Cli, folder: Path) -> None:
    assert cli.json("plans", "show", "starter@2021-02") == STARTER
    assert cli.json("plans", "show", "starter", "--month", "2024-03") == STARTER
    assert STARTER in cli.json("plans", "list")
    shown = cli.done("plans", "show", "starter").out
    assert "10,001 to 100,000" in shown
    assert "0.0003125" in shown
    file = folder / "own.json"
    own = STARTER | {"plan": "own"}
    file.write_text(json.dumps(own))
    assert cli.json("plans", "load", file) == [own]
    assert cli.json("plans", "load", file) == []
    file.write_text(json.dumps(own | {"soft_limit": 5}))
    assert "own@2021-02" in cli("plans", "load", file).error


def test_a_plan_file_that_breaks_a_rule_is_refused(cli: Cli, folder: Path) -> None:
    (folder / "bad.yaml").write_text("plan: gold\nversion: '1'\n")
    (folder / "bytes.json").write_bytes(b"\xff\xfe")
    assert "plan gold@1" in cli("plans", "load", "bad.yaml").error
    assert "not text in UTF-8" in cli("plans", "load", "bytes.json").error


def test_a_key_is_shown_once_and_revoked(cli: Cli) -> None:
    made = cli.json("keys", "create", "--scope", "ingest", "--account", "acme")
    assert made.keys() == {"id", "key", "scope", "account"}
    assert (made["scope"], made["account"]) == ("ingest", "acme")
    listed = cli.done("keys", "list", "--json")
    assert made["key"] not in listed.out
    (key,) = (each for each in listed.data if each["id"] == made["id"])
    assert made["key"].startswith(key["prefix"])
    assert key["revoked_at"] is None
    assert cli.json("keys", "revoke", made["id"])["revoked_at"] is not None
    assert cli.done("keys", "create", "--scope", "read").out.startswith("bk_read_")


def test_a_key_is_rotated_and_the_old_one_ends(cli: Cli) -> None:
    made = cli.json("keys", "create", "--scope", "ingest", "--account", "acme", "--expires", "90d")
    assert made["expires_at"]
    new = cli.json("keys", "rotate", made["id"], "--overlap", "24h")
    assert new["key"] != made["key"] and (new["scope"], new["account"]) == ("ingest", "acme")
    assert new["replaces"]["replaced_by"] == new["id"] and new["replaces"]["expires_at"]
    assert new["id"] in cli("keys", "list", COLUMNS="250").out
    assert "rotated already" in cli("keys", "rotate", made["id"]).error
    assert "overlap: 'x' is not a length of time" in cli("keys", "rotate", new["id"], "--overlap", "x").error
    assert "expires" in cli("keys", "create", "--scope", "read", "--expires", "2001-01-01").error
    assert cli.done("keys", "rotate", new["id"]).out.startswith("bk_ingest_")
