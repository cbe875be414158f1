"""The command line, run in this process on a database of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from billing.cli.app import app

# Settings of this machine are not the tests'.
CLEAN = {
    f"BILLING_{name}": None
    for name in (
        "CURRENCY", "DATABASE_URL", "EMBED_ORIGINS", "EVENTS_URL", "GRACE_HOURS", "LATE_DAYS",
        "LOG_FORMAT", "LOG_REQUESTS",
        "MAIL_FROM", "MAIL_OPERATOR",
        "PREFECT_API_KEY", "PREFECT_URL", "PUBLIC_URL",
        "RATE_LIMIT_ADDRESS", "RATE_LIMIT_EVENTS", "RATE_LIMIT_KEY", "REFERRAL_REWARD", "SCHEDULE",
        "SECOND_PERSON_CREDIT", "SECOND_PERSON_HOURS", "SECOND_PERSON_PLANS", "SECOND_PERSON_RUNS",
        "SELLER_ADDRESS", "SELLER_EMAIL", "SELLER_NAME", "SELLER_TAX_ID", "SMTP_URL",
        "STRIPE_API_BASE", "STRIPE_API_KEY", "STRIPE_AUTOMATIC_TAX", "STRIPE_LIVE", "STRIPE_TAX_RATES",
        "STRIPE_WEBHOOK_SECRET", "WEBHOOK_PRIVATE",
    )
}  # fmt: skip


class Outcome:
    """What a command did."""

    def __init__(self, code: int, stdout: bytes, stderr: str) -> None:
        self.code = code
        self.bytes = stdout
        self.out = stdout.decode(errors="replace")
        self.err = stderr

    @property
    def data(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr of a command that failed and printed nothing else."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


class Cli:
    """`cli("usage", "acme")` runs a command; `cli.env` holds the settings."""

    def __init__(self, database_url: str) -> None:
        self.env: dict[str, str | None] = {**CLEAN, "BILLING_DATABASE_URL": database_url}

    def __call__(self, *args: str | Path, stdin: bytes | None = None, **env: str) -> Outcome:
        result = CliRunner().invoke(app, [str(each) for each in args], input=stdin, env=self.env | env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Outcome(result.exit_code, result.stdout_bytes, result.stderr)

    def done(self, *args: str | Path, stdin: bytes | None = None) -> Outcome:
        """A command that must succeed."""
        outcome = self(*args, stdin=stdin)
        assert outcome.code == 0, (args, outcome.out, outcome.err)
        return outcome

    def json(self, *args: str | Path, stdin: bytes | None = None) -> Any:
        """What a command that must succeed answers with --json."""
        return self.done(*args, "--json", stdin=stdin).data


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in which the commands run."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The SQLite file that `billing init` makes."""
    path = tmp_path_factory.mktemp("initialised") / "billing.db"
    Cli(f"sqlite:///{path}").done("init")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.fixture
def cli(folder: Path, initialised: bytes) -> Cli:
    """On an initialised SQLite database."""
    path = folder / "billing.db"
    path.write_bytes(initialised)
    return Cli(f"sqlite:///{path}")


@pytest.fixture
def cli_on_both(folder: Path, engine: sa.Engine) -> Cli:
    """On an initialised database of each engine."""
    made = Cli(engine.url.render_as_string(hide_password=False))
    made.done("init")
    return made


def event(number: int, *, account: str = "acme", state: str = "COMPLETED", **more: Any) -> dict[str, Any]:
    """A task run of March 2024, of two seconds."""
    minute, second = divmod(number % 3000, 60)
    return {
        "account": account,
        "task_run_id": f"run-{number}",
        "state": state,
        "started_at": "2024-03-05T00:00:00Z",
        "ended_at": f"2024-03-05T10:{minute:02d}:{second:02d}Z",
        "duration": 2,
        **more,
    }


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)
