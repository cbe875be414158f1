"""billing operators …, and what else the console has that the command line has as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billing.operators import open_session, session_of
from metering.clock import now_instant
from metering.database import make_engine
from tests.billing.cli.conftest import Cli

PLAN = {
    "plan": "starter",
    "version": "2030-01",
    "effective_from": "2030-01-01",
    "currency": "USD",
    "brackets": [{"up_to": None, "unit_price": "1"}],
}


@pytest.fixture
def ready(cli: Cli) -> Cli:
    assert cli("init").code == 0
    assert cli("accounts", "add", "acme", "--name", "Acme Inc.").code == 0
    assert cli("accounts", "add", "other").code == 0
    return cli


def test_an_operator_is_let_in_listed_and_put_out(ready: Cli) -> None:
    cli = ready
    answer = cli("operators", "link", "ada", "--role", "finance", BILLING_PUBLIC_URL="https://b.example/x/")
    assert answer.code == 0 and "signs in ada as finance, once" in answer.err
    url, secret = answer.out.strip().split("?link=")
    assert url == "https://b.example/x/console/sign-in"
    engine = make_engine(cli.env["BILLING_DATABASE_URL"] or "")
    session, opened = open_session(engine, secret, now_instant())
    made = cli("operators", "link", "bob", "--role", "viewer", "--json").data
    assert made["url"].startswith("http://127.0.0.1:8000/console/sign-in?link=")
    listed = cli("operators", "list", "--json").data
    assert [(each["name"], each["state"]) for each in listed] == [("bob", "waiting"), ("ada", "open")]
    assert cli("operators", "end", session.id).code == 0
    assert session_of(engine, opened, now_instant()) is None
    assert cli("operators", "end", "--all", "--json").data == {"ended": 1}
    assert "Nobody is signed in" in cli("operators", "list").out
    assert len(cli("operators", "list", "--all", "--json").data) == 2
    assert cli("operators", "end").code == 2
    assert cli("operators", "end", "x", "--all").code == 2
    assert "there is no session" in cli("operators", "end", "ops_0").error
    assert "role" in cli("operators", "link", "ada", "--role", "root").err


def test_what_the_console_shows_the_command_line_shows(ready: Cli, tmp_path: Path) -> None:
    cli = ready
    assert [each["id"] for each in cli("accounts", "list", "--search", "ACME I", "--json").data] == ["acme"]
    (figures,) = cli("accounts", "figures", "--search", "acme", "--json").data
    assert (figures["plan"], figures["billable"], figures["amount"]) == ("starter@2021-02", 0, 0)
    assert len(figures["trend"]) == 6
    assert [each["account"] for each in cli("accounts", "figures", "--after", "acme", "--json").data] == [
        "other"
    ]
    assert cli("contracts", "watch", "--json").data == []
    assert cli("month", "check", "2026-10", "--json").data["ok"] is True
    assert "nothing stands in the way" in cli("month", "check", "2026-10").out
    assert cli("month", "drafts", "2026-10", "--json").data == []
    assert cli("month", "unsent", "2026-10", "--json").data == []
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(PLAN))
    found = cli("plans", "preview", draft, "--json").data
    assert (found["plan"], found["pay_more"], found["dry_run"]) == ("starter@2030-01", 0, True)
    assert "2 would move" in cli("plans", "preview", draft).out
    assert {each["version"] for each in cli("plans", "list", "--json").data} == {"2021-02"}
    draft.write_text(json.dumps(PLAN | {"plan": "gold"}))
    assert "name the plan" in cli("plans", "preview", draft).error
    assert cli("plans", "preview", draft, "--instead-of", "starter", "--json").data["plan"] == "gold@2030-01"


def test_strangers_are_named_by_the_check(ready: Cli, tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    row = {
        "account": "stranger", "task_run_id": "r", "state": "COMPLETED", "duration": "5",
        "started_at": "2026-10-03T02:00:00Z", "ended_at": "2026-10-03T02:00:05Z",
    }  # fmt: skip
    events.write_text(json.dumps(row) + "\n")
    assert ready("ingest", events).code == 0
    answer = ready("month", "check", "2026-10")
    assert answer.code == 1 and "unassigned: stranger has 1 billable" in answer.out
