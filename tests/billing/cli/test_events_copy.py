"""A live installation's events move to ClickHouse; its invoices stay what they are, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from metering.outcome import Action
from metering.store import Correction
from metering.store.sql import SqlEventStore
from tests.billing.cli.conftest import Cli, event, lines
from tests.conftest import NewDatabase
from tests.events import event as native
from tests.stores import new_name


def _ingest(cli: Cli, *events: dict[str, object]) -> None:
    cli.done("ingest", "-", stdin=lines(*events))


@pytest.mark.parametrize("engines", ["sqlite_databases", "postgres_databases"])
def test_invoices_made_before_verify_afterwards(
    engines: str, folder: Path, clickhouse_server: str, request: pytest.FixtureRequest
) -> None:
    new_database: NewDatabase = request.getfixturevalue(engines)
    engine = new_database()
    cli = Cli(engine.url.render_as_string(hide_password=False))
    cli.done("init")
    for account in ("acme", "globex"):
        cli.done("accounts", "add", account, "--billing-from", "2024-03")
    march = [event(number, flow=f"f{number % 3}") for number in range(10_400)]
    _ingest(cli, *march[:7000], *(event(number, account="globex") for number in range(50)))
    _ingest(cli, *march[6000:], *(event(number, state="FAILED") for number in range(5)))
    _ingest(cli, *(event(number, state="ROLLED_BACK") for number in range(7)))
    cli.done("run", "2024-03")
    # Late, and reversed after the invoice: as of its cutoff they did not happen.
    _ingest(cli, event(20_000), *(event(number, state="ROLLED_BACK") for number in range(100, 140)))
    _correct(cli, "reverse", *range(200, 230))
    cli.done("run", "2024-04")
    _correct(cli, "restore", *range(210, 230))

    url = f"{clickhouse_server}/{new_name()}"
    before = _proofs(cli)
    first = cli.json("events", "copy", "--to", url)
    assert (first["complete"], first["accounts"], first["runs"]) == (False, 2, 10_451)
    # The service runs on meanwhile.
    _ingest(cli, event(30_000), event(3, state="FAILED", flow="other"), event(150, state="ROLLED_BACK"))
    _correct(cli, "reverse", 210, 300)
    last = cli.json("events", "copy", "--to", url, "--switch")
    assert (last["complete"], last["runs"]) == (True, 10_452)
    assert last["position"] > first["position"]

    # Neither a command nor a service that still runs as before keeps events where nobody will look.
    assert "set BILLING_EVENTS_URL" in cli("usage", "acme", "--month", "2024-03").error
    with pytest.raises(Exception, match="kept in ClickHouse"):
        SqlEventStore(engine).append([native()], 1)
    with pytest.raises(Exception, match="kept in ClickHouse"):
        SqlEventStore(engine).correct("acme", ["run-1000"], Correction(Action.REVERSE, "x", "x"), 1)

    cli.env["BILLING_EVENTS_URL"] = url
    assert _proofs(cli) == before
    assert _correct(cli, "restore", 210, 300) == 2
    assert len(cli.json("corrections", "list")) == 54
    assert all(proof[1]["ok"] for proof in before.values())
    # What comes now comes after; what came before comes no more.
    may = event(40_000, started_at="2024-05-01T00:00:00Z", ended_at="2024-05-01T00:00:02Z")
    report = cli.json("ingest", "-", stdin=lines(*march[:10], may))
    assert (report["accepted"], report["duplicate"]) == (1, 10)
    run = cli.json("run", "2024-05")
    assert run["cutoff"] > last["position"]
    assert cli.json("invoices", "verify", run["invoices"][0]["id"])["ok"]
    assert "already" in cli("events", "copy", "--to", url).error


def _correct(cli: Cli, action: str, *numbers: int) -> int:
    ids = [f"run-{number}" for number in numbers]
    corrected: int = cli.json("correct", "acme", *ids, action, "--reason", "a dispute")["corrected"]
    return corrected


def _proofs(cli: Cli) -> dict[str, tuple[bytes, dict[str, object]]]:
    """Of each invoice its run list and its verification."""
    found = [each["id"] for each in cli.json("invoices", "list")]
    assert len(found) >= 3
    return {
        each: (cli.done("invoices", "runs", each).bytes, cli.json("invoices", "verify", each))
        for each in found
    }


def test_a_copy_goes_to_one_place(cli: Cli, clickhouse_server: str) -> None:
    one, other = (f"{clickhouse_server}/{new_name()}" for _ in range(2))
    _ingest(cli, event(1))
    cli.done("events", "copy", "--to", one)
    assert "copy there" in cli("events", "copy", "--to", other).error
    cli.done("events", "copy", "--to", one)
