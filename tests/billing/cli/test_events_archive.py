"""Runs of issued invoices as Parquet files: the same bytes as from the database, or refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from billing.reporting import archive as archiving
from tests.billing.cli.conftest import Cli, event, lines
from tests.faults.killing import Killed


@pytest.fixture
def billed(cli: Cli) -> Cli:
    for account in ("acme", "globex"):
        cli.done("accounts", "add", account, "--plan", "starter", "--billing-from", "2024-03")
    mine = [event(number, workspace="prod", flow=f"f{number % 3}") for number in range(300)]
    cli.done("ingest", "-", stdin=lines(*mine, event(1, account="globex"), event(7, state="FAILED")))
    cli.done("ingest", "-", stdin=lines(event(900, state="CRASHED"), event(901, task_run_id='a,"b"')))
    cli.done("run", "2024-03")
    # Late: after the cutoff of the invoice.
    cli.done("ingest", "-", stdin=lines(event(2, state="ROLLED_BACK"), event(5000)))
    return cli


def _files(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_an_archived_run_list_is_that_of_the_invoice(billed: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    done = billed.json("events", "archive", "--before", "2024-04", "--to", folder)
    assert (done["written"], done["kept"], done["runs"], done["differing"]) == (2, 0, 303, [])
    invoices = billed.json("invoices", "list")
    assert _files(folder) == sorted(
        f"month=2024-03/account={each['account']}/{each['number']}.parquet" for each in invoices
    )
    for each in invoices:
        listed = billed.done("invoices", "runs", each["id"]).bytes
        archived = billed.done("invoices", "runs", each["id"], "--archive", folder).bytes
        shown = billed.json("invoices", "show", each["id"])
        assert archived == listed
        assert hashlib.sha256(archived).hexdigest() == shown["run_list_sha256"]
    # Any other program reads them, too.
    table = pq.read_table(folder / "month=2024-03" / "account=acme")
    assert table.num_rows == 302
    assert set(table.column("outcome").to_pylist()) == {"billable", "crashed"}


def test_only_what_is_missing_or_wrong_is_written_again(billed: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    archive = ("events", "archive", "--before", "2024-04", "--to", folder)
    assert billed.json("events", "archive", "--before", "2024-03", "--to", folder)["written"] == 0
    billed.done(*archive)
    assert (billed.json(*archive)["written"], billed.json(*archive)["kept"]) == (0, 2)
    acme, globex = (folder / each for each in _files(folder))
    globex.unlink()
    acme.write_bytes(acme.read_bytes()[:-20])
    (invoice,) = billed.json("invoices", "list", "--account", "acme")
    assert "restore it" in billed("invoices", "runs", invoice["id"], "--archive", folder).error
    (other,) = billed.json("invoices", "list", "--account", "globex")
    assert "there is no" in billed("invoices", "runs", other["id"], "--archive", folder).error
    assert billed.json(*archive)["written"] == 2
    billed.done("invoices", "runs", invoice["id"], "--archive", folder)


def test_an_archive_of_somebody_elses_runs_is_refused(billed: Cli, tmp_path: Path) -> None:
    """A whole file, and not this invoice's: it is not taken, and written anew."""
    folder = tmp_path / "archive"
    billed.done("events", "archive", "--before", "2024-04", "--to", folder)
    acme, globex = (folder / each for each in _files(folder))
    globex.write_bytes(acme.read_bytes())
    (invoice,) = billed.json("invoices", "list", "--account", "globex")
    assert billed("invoices", "runs", invoice["id"], "--archive", folder).code == 2
    assert billed.json("events", "archive", "--before", "2024-04", "--to", folder)["written"] == 1


def test_what_was_killed_leaves_no_file_that_looks_whole(
    billed: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    write = archiving._write

    def killed(*args: object) -> int:
        write(*args)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(archiving, "_write", killed)
    with pytest.raises((Killed, AssertionError)):
        billed("events", "archive", "--before", "2024-04", "--to", folder)
    assert not list(folder.rglob("*.parquet"))
    monkeypatch.undo()
    assert billed.json("events", "archive", "--before", "2024-04", "--to", folder)["written"] == 2


def test_runs_that_are_not_what_an_invoice_says_are_named(billed: Cli, tmp_path: Path) -> None:
    """As if the store had lost a run: exit 1, and no file that would hide it."""
    import sqlite3

    with sqlite3.connect(str(billed.env["BILLING_DATABASE_URL"]).removeprefix("sqlite:///")) as connection:
        assert connection.execute(
            "DELETE FROM task_runs WHERE run_key = ?", (b"\0run-3",)
        ).rowcount  # fmt: skip
    folder = tmp_path / "archive"
    outcome = billed("events", "archive", "--before", "2024-04", "--to", folder, "--json")
    (invoice,) = billed.json("invoices", "list", "--account", "acme")
    assert outcome.code == 1 and outcome.data["differing"] == [invoice["number"]]
    assert len(_files(folder)) == 1
