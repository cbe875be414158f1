"""What docs/operations.md says of backups is done here, on both engines: taken while events come, restored
elsewhere, and proved."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa

from metering.clock import now_instant
from metering.database import make_engine
from metering.store.sql import SqlEventStore
from tests.billing.cli.conftest import Cli, event, lines
from tests.conftest import NewDatabase
from tests.events import event as decoded
from tests.postgres import BIN


def _billed(cli: Cli) -> dict[str, bytes]:
    """A month is billed; the run list of its invoice, by number."""
    cli.done("accounts", "add", "acme", "--plan", "starter", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(*(event(number) for number in range(11_000))))
    cli.done("run", "2024-03")
    return _run_lists(cli)


def _run_lists(cli: Cli) -> dict[str, bytes]:
    return {
        each["number"]: cli.done("invoices", "runs", each["number"]).bytes
        for each in cli.json("invoices", "list")
    }


@pytest.fixture
def arriving(cli: Cli) -> Iterator[Event]:
    """Events arrive all the time; the event tells when the first did."""
    engine = make_engine(cli.env["BILLING_DATABASE_URL"] or "")
    store, begun, enough = SqlEventStore(engine), Event(), Event()

    def send() -> None:
        number = 0
        while not enough.is_set():
            store.append([decoded(f"late-{number}", account="acme")], now_instant())
            number += 1
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        yield begun
        enough.set()
        sending.result()
    store.close()


def test_a_backup_of_a_file_that_is_written_is_of_one_instant(
    cli: Cli, folder: Path, request: pytest.FixtureRequest
) -> None:
    before = _billed(cli)
    seal = cli.json("prove")["audit"]["seal"]
    begun = request.getfixturevalue("arriving")
    assert begun.wait(30)
    done = cli.json("backup", folder / "kept.db")
    kept = folder / "kept.db"
    assert done == {"path": str(kept), "bytes": kept.stat().st_size}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("kept")) == ["kept.db"]
    assert "is there already" in cli("backup", kept).error
    assert "could not be written" in cli("backup", folder / "nowhere" / "x.db").error
    restored = Cli(f"sqlite:///{kept}")
    assert restored.json("prove", "--seal", seal)["ok"] is True
    assert _run_lists(restored) == before
    # It is an installation like any other: an event that it has is a duplicate, one that it has not is taken.
    sent = restored.json("ingest", "-", stdin=lines(event(1), event(20_000)))
    assert (sent["duplicate"], sent["accepted"]) == (1, 1)
    counted = restored.json("usage", "acme", "--month", "2026-10")["billable"]
    with make_engine(f"sqlite:///{kept}").connect() as connection:
        rows = connection.scalar(sa.text("SELECT count(*) FROM task_runs")) or 0
    assert rows == 11_001 + counted


def test_a_database_of_postgres_is_dumped_and_restored(folder: Path, postgres_databases: NewDatabase) -> None:
    engine = postgres_databases()
    first, second = engine.url, engine.url.set(database=f"{engine.url.database}_restored")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{second.database}"'))
    cli = Cli(first.render_as_string(hide_password=False))
    cli.done("init")
    before = _billed(cli)
    seal = cli.json("prove")["audit"]["seal"]
    assert "pg_dump -Fc -f" in cli("backup", folder / "kept.dump").error
    kept = folder / "kept.dump"
    for program, url, more in (
        ("pg_dump", first, ["-Fc", "-f", kept]),
        ("pg_restore", second, ["--exit-on-error", "--no-owner", "-d", second.database, kept]),
    ):
        where = ["-h", url.host, "-p", str(url.port), "-U", url.username]
        last = [url.database] if program == "pg_dump" else []
        command = [BIN / program, *where, *more, *last]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    restored = Cli(second.render_as_string(hide_password=False))
    assert restored.json("prove", "--seal", seal)["ok"] is True
    assert _run_lists(restored) == before
    assert restored.json("ingest", "-", stdin=lines(event(1), event(20_000)))["accepted"] == 1


@pytest.mark.behind_the_back
def test_a_backup_that_was_edited_is_not_proved(cli: Cli, folder: Path) -> None:
    _billed(cli)
    assert cli.done("prove", "--month", "2024-03").out.startswith("1 invoices computed again")
    assert cli.json("prove", "--month", "2024-04")["invoices"] == 0
    cli.done("backup", folder / "kept.db")
    restored = Cli(f"sqlite:///{folder / 'kept.db'}")
    with make_engine(f"sqlite:///{folder / 'kept.db'}").begin() as connection:
        connection.execute(
            sa.text("UPDATE task_runs SET outcome = 1 WHERE run_key = :key"), {"key": b"\0run-7"}
        )
        connection.execute(sa.text("UPDATE accounts SET email = 'm@example.com'"))
    found = restored("prove")
    assert found.code == 1
    assert "1 differ" in found.out and "run_list_sha256" in found.out
    assert "account acme was changed behind the service's back" in found.out
