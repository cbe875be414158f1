"""From the customer's page to the operator's answer, each through its own door."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from tests.billing.api.client import running
from tests.billing.cli.conftest import Cli
from tests.events import runs
from tests.world import OCTOBER, World

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_customer_disputes_and_the_operator_answers(folder: Path, engine: sa.Engine) -> None:
    cli = Cli(engine.url.render_as_string(hide_password=False))
    cli.done("init")
    world = World(engine)
    world.account("acme", since="2026-10")
    world.send(runs(20))
    world.service.run_month(OCTOBER)
    link = cli.json("links", "create", "acme", "--hours", "2")
    assert cli("links", "create", "acme").out.startswith("http://127.0.0.1:8000/c/")
    outside = cli("links", "create", "acme", BILLING_PUBLIC_URL="https://billing.example/b").out
    assert outside.startswith("https://billing.example/b/c/")
    with running(world) as client:
        made = client.post("/v1/accounts/acme/links", json={}).json()
        place = made["url"].removeprefix("http://billing.test")
        ticked = (("run", "run-0000004"), ("run", "run-0000007"))
        fields = (*ticked, ("message", "a <test>\nof ours"), ("raised_by", "Ada"))
        sent = client.ask("POST", f"{place}disputes", key=None, content=urlencode(fields), headers=FORM)
        assert sent.status_code == 303
        (raised,) = cli.json("disputes", "list", "--status", "open")
        assert (raised["runs"], raised["raised_by"]) == (2, "Ada")
        assert "a <test>" in cli.done("disputes", "list").out
        shown = cli.json("disputes", "show", raised["id"])
        assert (shown["author"], shown["task_runs"]) == ("customer's page", ["run-0000004", "run-0000007"])
        answer = ("disputes", "answer", raised["id"], "run-0000004", "--reverse", "--reply", "One is yours.")
        told = cli.done(*answer).out
        assert "run-0000004 (reversed)" in told and "corrected" in told
        page = client.get(f"{place}disputes/{raised['id']}", key=None)
        assert "One is yours." in page.text and "Partly corrected" in page.text
        assert client.get("/v1/disputes/" + raised["id"]).json() == cli.json("disputes", "show", raised["id"])
        cli.done("links", "end")
        assert client.get(place, key=None).status_code == 403
    assert cli.json("usage", "acme", "--month", "2026-10")["not_billed"]["reversed"] == 1
    other = cli("disputes", "answer", raised["id"], "--decline", "--reply", "No.")
    assert other.code == 2 and "is corrected already, by operator" in other.error
    again = cli.json(
        "disputes", "raise", "acme", "run-0000007", "--message", "still", "--raised-by", "Ada", "--invoice",
        "2026-10-000001",
    )  # fmt: skip
    assert (again["status"], again["invoice_number"], again["author"]) == (
        "open",
        "2026-10-000001",
        "operator",
    )
    assert link["account"] == "acme"
