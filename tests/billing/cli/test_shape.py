"""What holds of every command: help with an example, a quick start, one line an error."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer

from billing.cli.app import app
from tests.billing.cli.conftest import Cli

NOUNS = {
    "accounts": {
        "add", "list", "figures", "show", "update", "set-plan", "protect", "protections", "apply-program",
        "leave-program", "refer", "credit", "credits", "history", "close", "reopen", "erase",
    },
    "contracts": {
        "add", "list", "show", "grant", "amend", "withdraw", "deliver", "invoice", "report", "watch",
    },
    "plans": {"list", "show", "load", "migrate", "preview"},
    "invoices": {"list", "show", "explain", "verify", "runs", "pdf", "void", "credit-note", "approve"},
    "keys": {"create", "list", "rotate", "revoke"},
    "links": {"create", "end"},
    "proposals": {"list", "show", "approve", "refuse"},
    "operators": {"link", "list", "end"},
    "month": {"check", "drafts", "unsent"},
    "report": {"revenue"},
    "disputes": {"list", "show", "raise", "answer"},
    "alerts": {"list", "show", "set", "check"},
    "webhooks": {
        "add", "list", "show", "update", "enable", "disable", "rotate-secret", "remove", "test",
    },
    "deliveries": {"list", "show", "resend", "send"},
    "collect": {"prefect"},
    "corrections": {"list"},
    "sources": {"add", "update", "list", "show", "declare", "recover", "remove", "halves"},
}  # fmt: skip
VERBS = {
    "init",
    "backup",
    "downgrade",
    "prove",
    "demo",
    "serve",
    "ingest",
    "correct",
    "usage",
    "preview",
    "run",
    "reconcile",
    "anomalies",
    "export",
    "stripe-sandbox",
}


def every_command() -> Iterator[tuple[str, Any]]:
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def test_the_commands_are_those_people_rely_on() -> None:
    names = {name for name, _ in every_command()}
    assert names >= VERBS | {f"{noun} {verb}" for noun, verbs in NOUNS.items() for verb in verbs}


@pytest.mark.parametrize(("name", "command"), list(every_command()))
def test_help_has_an_example_that_parses(name: str, command: Any) -> None:
    assert command.help
    program, *words = shlex.split(command.epilog.removeprefix("Example: "))
    assert program == "billing"
    if "|" in words:
        words = words[: words.index("|")]
    depth = len(name.split())
    assert words[:depth] == name.split()
    command.make_context(name, words[depth:])  # raises for words that it does not take


def test_help_is_printed(cli: Cli) -> None:
    shown = cli.done("usage", "--help")
    assert "Example: billing usage acme" in shown.out
    assert cli("accounts").code == 2
    assert "set-plan" in cli("accounts").out
    assert cli().code == 2


def test_starting_imports_nothing_heavy() -> None:
    code = "import sys; import billing.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"sqlalchemy", "alembic", "stripe", "fastapi", "uvicorn", "httpx", "pydantic", "yaml"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["bogus"], 2, "No such command 'bogus'; see: billing --help"),
        (["accounts", "add"], 2, "Missing argument 'ID'; see: billing accounts add --help"),
        (["accounts", "show", "acme"], 2, "add it with: billing accounts add acme"),
        (["accounts", "add", "a b"], 2, "account id 'a b' is not usable"),
        (["accounts", "add", "acme", "--plan", "gold"], 2, "gold"),
        (["accounts", "add", "acme", "--currency", "XXX"], 2, "'XXX' is not a currency"),
        (["accounts", "add", "acme", "--billing-from", "2026-13"], 2, "'2026-13' is not a month"),
        (["plans", "show", "gold"], 2, "gold"),
        (["plans", "load", "nowhere.json"], 2, "nowhere.json: no such file or directory"),
        (["usage", "acme"], 2, "there is no account 'acme'"),
        (["usage", "acme", "--from", "2024-03-01T00:00:00"], 2, "has no offset"),
        (["usage", "acme", "--from", "2024-03-01T00:00:00Z"], 2, "both --from and --to"),
        (["preview", "acme"], 2, "there is no account 'acme'"),
        (["run", "2999-01"], 2, "2999-01 can be billed from 2999-02-02T00:00:00Z on"),
        (["run", "2024-03", "--account", "acme"], 2, "there is no account 'acme'"),
        (["reconcile", "2024-13"], 2, "'2024-13' is not a month"),
        (["reconcile", "2024-03", "--account", "acme"], 2, "there is no account 'acme'"),
        (["reconcile", "2024-03", "--prefect-url", "nowhere"], 2, "is not the address of a Prefect server"),
        (["reconcile", "2024-03", "--prefect-url", "http://h"], 2, "no account has task runs of Prefect"),
        (["invoices", "show", "2024-03-000001"], 2, "there is no invoice '2024-03-000001'"),
        (["invoices", "explain", "2024-03-000001"], 2, "there is no invoice '2024-03-000001'"),
        (["preview", "acme", "--line", "1"], 2, "--line goes with --explain"),
        (["invoices", "runs", "2024-03-000001"], 2, "there is no invoice '2024-03-000001'"),
        (["invoices", "pdf", "2024-03-000001"], 2, "there is no invoice '2024-03-000001'"),
        (["invoices", "verify", "2024-03-000001"], 2, "there is no invoice '2024-03-000001'"),
        (["invoices", "list", "--status", "lost"], 2, "status 'lost' is not one of draft, finalized"),
        (["export", "focus"], 2, "Missing option '--month'"),
        (["export", "prices", "--month", "2024-03"], 2, "'prices' is not one of 'usage', 'invoices'"),
        (["export", "usage", "--month", "2024-13"], 2, "'2024-13' is not a month"),
        (["export", "usage", "--month", "2024-03", "--account", "acme"], 2, "there is no account 'acme'"),
        (["export", "usage", "--month", "2024-03", "-o", "nowhere/x.csv"], 2, "nowhere/x.csv"),
        (["links", "create", "acme"], 2, "there is no account 'acme'"),
        (["links", "create", "acme", "--hours", "0"], 2, "hours must be 1 to 744"),
        (["disputes", "show", "dsp_0"], 2, "there is no dispute 'dsp_0'; see: billing disputes list"),
        (["disputes", "list", "--status", "lost"], 2, "status 'lost' is not one of open"),
        (["disputes", "answer", "dsp_0", "--reply", "x"], 2, "give either --reverse or --decline"),
        (["disputes", "answer", "dsp_0", "run-1", "--decline", "--reply", "x"], 2, "leave them out"),
        (["disputes", "answer", "dsp_0", "--reverse", "--reply", " "], 2, "reply is empty"),
        (["alerts", "show", "acme"], 2, "there is no account 'acme'"),
        (["alerts", "set", "acme"], 2, "say what changes"),
        (["alerts", "check", "--account", "acme"], 2, "there is no account 'acme'"),
        (["webhooks", "add", "http://example.com/"], 2, "must begin with https://"),
        (["webhooks", "add", "https://example.com/", "--event", "x"], 2, "event type 'x' is not one of"),
        (["webhooks", "test", "whe_0"], 2, "there is no webhook endpoint 'whe_0'; see: billing"),
        (["deliveries", "list", "--status", "lost"], 2, "status 'lost' is not one of pending"),
        (["deliveries", "resend"], 2, "give the ids of deliveries, or --endpoint"),
        (["deliveries", "resend", "dlv_0"], 2, "there is no delivery 'dlv_0'; see: billing deliveries list"),
        (["keys", "create", "--scope", "admin", "--account", "acme"], 2, "cannot be bound to an account"),
        (["keys", "create", "--scope", "all"], 2, "'all' is not one of 'ingest', 'read', 'admin'"),
        (["keys", "revoke", "key_0"], 2, "there is no key 'key_0'; see: billing keys list"),
        (["ingest", "nowhere.ndjson"], 2, "nowhere.ndjson: no such file or directory"),
        (["ingest", "-", "--account", "a b"], 2, "1 to 64 of the characters"),
        (["serve", "--host", "nowhere.invalid"], 2, "--host"),
        (["demo", "--folder", "billing.db"], 2, "billing.db is not a folder"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_says_what_to_do(cli: Cli, words: list[str], code: int, says: str) -> None:
    outcome = cli(*words)
    assert says in outcome.error
    assert outcome.error.startswith("billing: ")
    assert outcome.code == code


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("BILLING_CURRENCY", "usd", "BILLING_CURRENCY: "),
        ("BILLING_GRACE_HOURS", "soon", "BILLING_GRACE_HOURS: "),
        ("BILLING_DATABASE_URL", "mysql://host/name", "BILLING_DATABASE_URL starts with 'mysql'"),
        ("BILLING_DATABASE_URL", "nothing", "BILLING_DATABASE_URL is not a database URL"),
        ("BILLING_DATABASE_URL", "sqlite:///nowhere/billing.db", "run: billing init"),
        ("BILLING_DATABASE_URL", "postgresql://127.0.0.1:1/none", "check BILLING_DATABASE_URL"),
        ("BILLING_WEBHOOK_PRIVATE", "yes", "BILLING_WEBHOOK_PRIVATE: "),
        ("BILLING_STRIPE_API_KEY", "sk_live_1", "set BILLING_STRIPE_LIVE=yes to allow it"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(cli: Cli, setting: str, value: str, says: str) -> None:
    outcome = cli("accounts", "list", **{setting: value})
    assert says in outcome.error
    assert outcome.code == 2


def test_a_database_without_a_schema_is_not_created_by_looking(folder: Path) -> None:
    cli = Cli("sqlite:///fresh.db")
    assert cli("accounts", "list").error == "billing: there is no database fresh.db yet; run: billing init"
    assert list(folder.iterdir()) == []
    (folder / "fresh.db").touch()
    assert "run: billing init" in cli("accounts", "list").error


def test_a_file_that_is_no_database_is_an_error_not_a_traceback(folder: Path) -> None:
    (folder / "text.db").write_text("this is not a database, and long enough to be none\n" * 100)
    outcome = Cli("sqlite:///text.db")("accounts", "list")
    assert "file is not a database" in outcome.error


def test_the_admin_key_is_shown_once(folder: Path, engine: sa.Engine) -> None:
    cli = Cli(engine.url.render_as_string(hide_password=False))
    first = cli.json("init")
    assert first["admin_key"].keys() == {"id", "key", "scope", "account"}
    assert first["admin_key"]["key"].startswith("bk_admin_")
    assert cli.json("init")["admin_key"] is None
    assert [each["scope"] for each in cli.json("keys", "list")] == ["admin"]


def test_a_reader_that_had_enough_gets_no_complaint(cli: Cli) -> None:
    for number in range(30):
        cli.done("accounts", "add", f"account-{number}")
    env = {name: value for name, value in cli.env.items() if value}
    command = f"{shlex.quote(sys.executable)} -m billing.cli accounts list --json | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        check=True,
        capture_output=True,
        env=env | {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
    )
    assert (done.stdout, done.stderr) == (b"[", b"")
