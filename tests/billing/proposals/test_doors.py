"""The same by every door: command line, HTTP and console."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from billing.credits import show_credit
from tests.billing.api.client import Client, assert_problem, running
from tests.billing.cli.conftest import Cli, cli, folder, initialised  # noqa: F401
from tests.billing.console.conftest import Operator, text_of
from tests.billing.proposals.test_proposals import PLAN
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import World

CREDIT = {"amount": "600.00", "reason": "the outage"}


@pytest.fixture
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    world.account("acme")
    world.send(runs(5))
    settings = world.service.settings
    settings.second_person_plans = "on"
    settings.second_person_credit = Decimal(500)
    settings.second_person_runs = 1
    with running(world) as client:
        yield client


def test_over_http(client: Client) -> None:
    place = "/v1/accounts/acme/credits"
    once = {"Idempotency-Key": "once"}
    asked = client.post(place, json=CREDIT, headers=once)
    made = asked.json()
    assert asked.status_code == 202 and asked.headers["location"] == f"/v1/proposals/{made['id']}"
    assert client.post(place, json=CREDIT, headers=once).json() == made
    assert made["state"] == "waiting" and made["request"] == {"account": "acme", **CREDIT}
    approve = f"/v1/proposals/{made['id']}/approve"
    assert_problem(client.post(approve, json={}), 409, says="which is you")
    bob = client.key("admin").secret
    wrong = client.post(approve, json={"sha256": "0" * 64}, key=bob)
    assert_problem(wrong, 409, field="sha256")
    done = client.post(approve, json={"sha256": made["sha256"]}, key=bob)
    assert done.status_code == 200 and done.json()["state"] == "done"
    assert done.json()["result"] == {"balance": 60_000, "currency": "USD"}
    assert client.get(asked.headers["location"]).json() == done.json()
    assert client.get("/v1/proposals").json() == []
    assert [each["id"] for each in client.get("/v1/proposals?every=true").json()] == [made["id"]]
    for path, body in (
        ("/v1/plans", json.loads(PLAN)),
        ("/v1/corrections", {"account": "acme", "task_run_ids": ["a", "b"], "action": "reverse",
                             "reason": "x"}),
    ):  # fmt: skip
        assert client.post(path, json=body).status_code == 202
    first, second = client.get("/v1/proposals").json()
    assert len(client.get("/v1/proposals?limit=1").json()) == 1
    refused = client.post(f"/v1/proposals/{first['id']}/refuse", json={"reason": "no"}, key=bob)
    assert refused.json()["state"] == "refused" and refused.json()["reason"] == "no"
    assert_problem(client.post(f"/v1/proposals/{first['id']}/refuse", json={"reason": "no"}, key=bob), 409)
    assert client.post(f"/v1/proposals/{second['id']}/approve", json={}, key=bob).json()["state"] == "done"


def test_in_the_console(client: Client) -> None:
    made = client.post("/v1/accounts/acme/credits", json=CREDIT).json()
    place = f"proposals/{made['id']}"
    viewer, ada = Operator(client, "viewer", "vic"), Operator(client, "finance", "ada")
    listed = text_of(viewer.get("proposals"))
    assert "Credit account acme with 600.00 USD: the outage" in listed and "waiting" in listed
    shown = viewer.get(place)
    assert made["sha256"] in shown and "Approve" not in shown and "600.00" in shown
    assert "Approve, and do it" in ada.get(place)
    answer = ada.post(f"{place}/approve", ("sha256", "0" * 64))
    assert answer.status_code == 409 and "not what you looked at" in answer.text
    assert ada.post(f"{place}/approve", ("sha256", made["sha256"])).status_code == 303
    page = text_of(ada.get(place))
    assert "operator ada approved it" in page and "done" in page and "Decide" not in page
    assert show_credit(client.world.engine, "acme")["balance"] == 60_000
    assert "Nothing waits for anybody." in ada.get("proposals")
    assert made["id"] in ada.get("proposals?which=all")


def test_a_dispute_answered_in_the_console(client: Client) -> None:
    wrong = ["run-0000001", "run-0000002"]
    raised = {"account": "acme", "runs": wrong, "message": "no", "raised_by": "Eve"}
    dispute = client.post("/v1/disputes", json=raised).json()["id"]
    ada, bob = Operator(client, "finance", "ada"), Operator(client, "finance", "bob")
    ticked = [("run", each) for each in wrong]
    answer = ada.post(f"disputes/{dispute}/answer", ("decision", "reverse"), ("reply", "right"), *ticked)
    assert answer.status_code == 303 and "/proposals/prp_" in answer.headers["location"].replace("../", "/")
    proposal = answer.headers["location"].rpartition("/")[2]
    assert "You asked for it" in ada.get(f"proposals/{proposal}")
    mine = ada.post(f"proposals/{proposal}/approve", ("sha256", ""))
    assert mine.status_code == 409
    (listed,) = client.get("/v1/proposals").json()
    assert bob.post(f"proposals/{proposal}/approve", ("sha256", listed["sha256"])).status_code == 303
    assert client.get(f"/v1/disputes/{dispute}").json()["status"] == "corrected"
    assert bob.post("proposals/prp_0/approve", ("sha256", "")).status_code == 404
    assert bob.post(f"proposals/{proposal}/refuse", ("reason", "x")).status_code == 409


def test_on_the_command_line_and_by_the_same_name_in_the_console(
    cli: Cli,  # noqa: F811
    tmp_path: Path,
) -> None:
    cli.env |= {
        "BILLING_SECOND_PERSON_PLANS": "on",
        "BILLING_SECOND_PERSON_CREDIT": "500",
        "BILLING_SECOND_PERSON_RUNS": "0",
        "LOGNAME": "ada",
    }
    cli.done("accounts", "add", "acme")
    (tmp_path / "gold.json").write_text(PLAN)
    asked = cli("accounts", "credit", "acme", "600.00", "--reason", "the outage")
    assert asked.code == 1 and "Not done yet: credit account acme" in asked.out
    assert "billing proposals approve prp_" in asked.err
    for words in (
        ("plans", "load", tmp_path / "gold.json"),
        ("correct", "acme", "a", "reverse", "--reason", "x"),
    ):
        assert cli(*words, "--json").data["state"] == "waiting"
    correction, plan, credit = cli.json("proposals", "list")
    assert "which is you" in cli("proposals", "approve", credit["id"]).error
    assert cli.json("proposals", "show", plan["id"])["request"]["name"] == "gold.json"
    bob = {"LOGNAME": "bob"}
    wrong = cli("proposals", "approve", plan["id"], "--sha256", "0", **bob)
    assert wrong.code == 2 and "not what you looked at" in wrong.error
    assert (
        cli("proposals", "approve", plan["id"], "--sha256", plan["sha256"], "--json", **bob).data["state"]
        == "done"
    )
    assert cli("proposals", "approve", credit["id"], **bob).code == 0
    refused = cli("proposals", "refuse", correction["id"], "--reason", "no", **bob)
    assert refused.code == 0 and "refused" in refused.out
    assert cli.json("proposals", "list") == []
    assert "Nothing waits" in cli.done("proposals", "list").out
    assert len(cli.json("proposals", "list", "--all")) == 3
    assert cli.json("accounts", "credits", "acme")["balance"] == 60_000
    assert cli.json("audit", "verify")["findings"] == []
