"""billing audit …"""

from __future__ import annotations

import getpass
import hashlib
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.audit.actor import OPERATOR, actor
from metering.database import make_engine
from tests.billing.cli.conftest import Cli


@pytest.fixture
def ready(cli: Cli) -> Cli:
    cli.done("accounts", "add", "acme", "--name", "Acme Inc.")
    cli.done("accounts", "update", "acme", "--email", "pay@acme.example")
    return cli


def test_entries_are_listed_and_shown_with_who_is_at_the_command_line(ready: Cli) -> None:
    me = f"operator {getpass.getuser()}"
    newest, added = ready.json("audit", "list", "--account", "acme")
    assert (newest["deed"], added["deed"]) == ("account.updated", "account.added")
    assert newest["by"] == added["by"] == me
    assert ready.json("audit", "list", "--by", me, "--limit", "1") == [newest]
    assert ready.json("audit", "list", "--by", "operator", "--deed", "account") == [newest, added]
    assert ready.json("audit", "list", "--by", "key") == []
    assert ready.json("audit", "list", "--since", "2030-01-01") == []
    assert ready.json("audit", "list", "--subject", "acme", "--until", "2030-01-01") == [newest, added]
    assert "account acme" in ready.done("audit", "list").out
    assert "None." in ready.done("audit", "list", "--account", "nobody").out
    assert ready.json("audit", "show", str(newest["number"])) == newest
    shown = ready.done("audit", "show", str(newest["number"])).out
    assert "accounts/acme: email: nothing → pay@acme.example" in shown and me in shown
    assert "has no entry 99" in ready("audit", "show", "99").error
    assert actor().name == OPERATOR  # the name went with the command


@pytest.mark.behind_the_back
def test_the_trail_is_verified_against_what_is_there(ready: Cli) -> None:
    done = ready.done("audit", "verify")
    said = done.out.split("seal ")[1].strip()
    assert ready.json("audit", "verify", "--seal", said)["findings"] == []
    assert "seal" in ready("audit", "verify", "--seal", "nonsense").error
    engine = make_engine(ready.env["BILLING_DATABASE_URL"] or "")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE accounts SET email = 'mallory@example.com'"))
    found = ready("audit", "verify")
    assert found.code == 1
    assert "account acme was changed behind the service's back" in found.out and "1 finding\n" in found.out
    (finding,) = ready("audit", "verify", "--json").data["findings"]
    assert "account acme" in finding["says"]


def test_an_export_is_checked_by_its_lines(ready: Cli, tmp_path: Path) -> None:
    file = tmp_path / "audit.ndjson"
    assert "entries in" in ready.done("audit", "export", "--out", file).err
    assert ready.done("audit", "export").bytes == file.read_bytes()
    seal = "0" * 64
    for raw in file.read_bytes().splitlines():
        row = json.loads(raw)
        seal = hashlib.sha256(f"{seal}\n{row['line']}".encode()).hexdigest()
        assert row["seal"] == seal
    assert ready.json("audit", "verify")["seal"].endswith(f":{seal}")
