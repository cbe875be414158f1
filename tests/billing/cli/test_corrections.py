"""billing correct, billing corrections list"""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tests.billing.cli.conftest import Cli, event, lines


@pytest.fixture
def month(cli: Cli) -> Cli:
    """Five runs of acme in March 2024."""
    cli.done("accounts", "add", "acme", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(*(event(number) for number in range(5))))
    return cli


def billable(cli: Cli) -> int:
    counted: int = cli.json("usage", "acme", "--month", "2024-03")["billable"]
    return counted


def test_named_runs(month: Cli) -> None:
    done = month("correct", "acme", "run-0", "run-9", "run-1", "reverse", "--reason", "ticket 4711")
    assert (done.code, done.out) == (1, "2 task runs reversed, 0 unchanged.\n")
    assert done.err.strip() == "account acme has no task run run-9; check the id, or send its events first"
    assert billable(month) == 3
    said = month.json("correct", "acme", "run-0", "run-2", "restore", "--reason", "x", "--author", "ann")
    assert said == {
        "account": "acme", "action": "restore", "corrected": 1, "unchanged": 1, "failed": 0, "errors": [],
    }  # fmt: skip
    assert billable(month) == 4
    found = month.json("corrections", "list", "--account", "acme")
    # As the audit trail names whoever is at the command line.
    me = f"operator {getpass.getuser()}"
    assert [(each["task_run_id"], each["action"], each["author"]) for each in found] == [
        ("run-0", "reverse", me),
        ("run-1", "reverse", me),
        ("run-0", "restore", "ann"),
    ]
    (entry,) = [each for each in month.json("audit", "list") if each["deed"] == "runs.restored"]
    shown = month.done("audit", "show", str(entry["number"]), "--json").out
    assert entry["by"] == me and '"author": "ann"' in shown, "who acted, and for whom"
    assert month.json("corrections", "list", "--run", "run-1") == found[1:2]
    assert month.json("corrections", "list", "--account", "other") == []
    assert "ticket 4711" in month.done("corrections", "list").out


@pytest.mark.parametrize("given", ["file", "stdin"])
def test_the_run_list_of_an_invoice(month: Cli, folder: Path, given: str) -> None:
    month.done("run", "2024-03")
    listed = month.done("invoices", "runs", "2024-03-000001").bytes
    (folder / "runs.csv").write_bytes(listed)
    name, stdin = ("runs.csv", None) if given == "file" else ("-", listed)
    done = month.done("correct", "acme", "reverse", "--runs", name, "--reason", "x", stdin=stdin)
    assert done.out == "5 task runs reversed, 0 unchanged.\n"
    assert billable(month) == 0
    ids = b"run-0\n\r\n run-1 \nrun-2"
    done = month.done("correct", "acme", "run-3", "restore", "--runs", "-", "--reason", "x", stdin=ids)
    assert done.out == "4 task runs restored, 0 unchanged.\n"
    assert month.json("invoices", "verify", "2024-03-000001")["ok"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("acme", "run-1", "undo"), "end with reverse or restore; 'undo' is neither"),
        (("acme", "reverse"), "name the task runs to correct"),
        (("acme", "reverse", "--runs", "nowhere.csv"), "nowhere.csv: no such file or directory"),
        (("acme", "reverse", "--runs", "latin.csv"), "not UTF-8"),
        (("acme", "reverse", "--runs", "empty.csv"), "name the task runs to correct"),
        (("nobody", "run-1", "reverse"), "there is no account 'nobody'"),
        (("acme", "run-1", "reverse", "--reason", ""), "say why"),
        (("acme", "run-1", "reverse", "--author", "a\nb"), "author"),
    ],
)
def test_wrong_usage(month: Cli, folder: Path, words: tuple[str, ...], says: str) -> None:
    (folder / "latin.csv").write_bytes(b"run-\xe9")
    (folder / "empty.csv").write_text("task_run_id,ended_at,duration_us\n")
    done = month("correct", *words, *(() if "--reason" in words else ("--reason", "x")))
    assert (done.code, says in done.error) == (2, True), done.err
    assert month.json("corrections", "list") == []
