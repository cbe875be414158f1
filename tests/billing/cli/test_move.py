"""A whole installation moves to PostgreSQL and back; its books and proofs stay what they are, to the byte."""

from __future__ import annotations

from typing import Any

from tests.billing.cli.conftest import Cli, event, lines
from tests.conftest import NewDatabase


def _url(database: NewDatabase) -> str:
    return database().url.render_as_string(hide_password=False)


def _fill(cli: Cli) -> None:
    for account in ("acme", "globex"):
        cli.done("accounts", "add", account, "--plan", "starter", "--billing-from", "2024-03")
    cli.done("accounts", "credit", "acme", "5.00", "--reason", "goodwill")
    cli.done("alerts", "set", "acme", "--budget", "100.00")
    cli.done("webhooks", "add", "https://example.com/hooks", "--account", "acme")
    cli.done("ingest", "-", stdin=lines(*(event(number) for number in range(12_000))))
    cli.done("ingest", "-", stdin=lines(event(1, account="globex", flow="é"), event(2, state="FAILED")))
    cli.done("run", "2024-03")
    (first, *_) = cli.json("invoices", "list", "--account", "acme")
    cli.done("invoices", "void", first["id"], "--reason", "wrong address")
    cli.done("run", "2024-03")
    cli.done("ingest", "-", stdin=lines(*(event(number, state="ROLLED_BACK") for number in range(30))))
    cli.done("run", "2024-04")


def _books(cli: Cli) -> dict[str, Any]:
    ids = [each["id"] for each in cli.json("invoices", "list")]
    assert len(ids) >= 3
    return {
        each: (
            cli.json("invoices", "show", each),
            cli.done("invoices", "runs", each).bytes,
            cli.json("invoices", "verify", each),
        )
        for each in ids
    } | {"accounts": cli.json("accounts", "list"), "usage": cli.json("usage", "acme", "--month", "2024-03")}


def test_an_installation_moves_to_postgres_and_back(
    cli: Cli, postgres_databases: NewDatabase, sqlite_databases: NewDatabase
) -> None:
    _fill(cli)
    before = _books(cli)
    for databases in (postgres_databases, sqlite_databases):
        url = _url(databases)
        moved = cli.json("move", "--to", url)
        assert moved["rows"]["task_runs"] == 12_001
        assert moved["rows"]["invoices"] >= 3
        assert moved["rows"]["alert_settings"] == moved["rows"]["webhook_secrets"] == 1
        assert moved["rows"]["notification_events"] >= 2
        # The old one is neither read nor written any more.
        for command in (("usage", "acme", "--month", "2024-03"), ("move", "--to", url), ("run", "2024-05")):
            refused = cli(*command)
            assert refused.code == 2 and "set BILLING_DATABASE_URL" in refused.error
        assert cli("ingest", "-", stdin=lines(event(9))).code != 0
        cli.env["BILLING_DATABASE_URL"] = url
        assert _books(cli) == before
    # It goes on as if nothing had happened.
    report = cli.json("ingest", "-", stdin=lines(event(1), event(20_000)))
    assert (report["accepted"], report["duplicate"]) == (1, 1)
    run = cli.json("run", "2024-05")
    assert all(cli.json("invoices", "verify", each["id"])["ok"] for each in run["invoices"])
    numbers = [each["number"] for each in cli.json("invoices", "list")]
    assert len(numbers) == len(set(numbers))
