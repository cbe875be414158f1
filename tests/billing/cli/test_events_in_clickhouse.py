"""The service with its events in ClickHouse and its money in the SQL database, by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.billing.cli.conftest import Cli, event, lines
from tests.stores import new_name


@pytest.fixture
def events_url(clickhouse_server: str) -> str:
    """An address at which there is nothing yet."""
    return f"{clickhouse_server}/{new_name()}"


@pytest.fixture
def elsewhere(folder: Path, events_url: str) -> Cli:
    """On an initialised SQLite database with its events in ClickHouse."""
    made = Cli(f"sqlite:///{folder / 'elsewhere.db'}")
    made.env["BILLING_EVENTS_URL"] = events_url
    made.done("init")
    return made


def test_from_events_to_a_verified_invoice(elsewhere: Cli, cli: Cli) -> None:
    """The same figures as with all in one file."""
    answers = []
    for each in (cli, elsewhere):
        each.done("accounts", "add", "acme", "--billing-from", "2024-03")
        sent = lines(*(event(number, workspace="prod", flow=f"f{number % 2}") for number in range(10_500)))
        report = each.json(
            "ingest", "-", stdin=sent + sent.splitlines(keepends=True)[0] + lines(event(1, state="FAILED"))
        )
        assert (report["accepted"], report["duplicate"]) == (10_501, 1)
        usage = each.json("usage", "acme", "--month", "2024-03", "--by", "hour", "--group-by", "flow")
        run = each.json("run", "2024-03")
        (invoice,) = run["invoices"]
        shown = each.json("invoices", "show", invoice["id"])
        assert each.json("invoices", "verify", invoice["id"])["ok"]
        listed = each.done("invoices", "runs", invoice["id"]).bytes
        answers.append((usage, shown["total"], shown["run_list_sha256"], shown["lines"], listed))
    assert answers[0] == answers[1]
    assert answers[0][1] == 125


def test_init_may_be_repeated(elsewhere: Cli) -> None:
    elsewhere.done("ingest", "-", stdin=lines(event(1)))
    elsewhere.done("init")
    assert elsewhere.json("usage", "acme", "--month", "2024-03")["billable"] == 1


def test_money_never_meets_events_that_are_not_its_own(elsewhere: Cli, events_url: str) -> None:
    """What would be computed from nothing, or from somebody else's events, is refused."""
    usage = ("usage", "acme", "--month", "2024-03")
    elsewhere.done("ingest", "-", stdin=lines(event(1)))
    forgotten = elsewhere(*usage, BILLING_EVENTS_URL="")
    assert forgotten.code == 2
    assert "set BILLING_EVENTS_URL" in forgotten.error
    assert "run: billing init" in elsewhere(*usage, BILLING_EVENTS_URL=events_url + "_other").error
    other = Cli("sqlite:///other.db")
    other.done("init")
    other.env["BILLING_EVENTS_URL"] = events_url + "_other"
    other.done("init")
    other.done("accounts", "add", "acme", "--billing-from", "2024-03")
    assert other.json(*usage)["billable"] == 0
    wrong = elsewhere(*usage, BILLING_EVENTS_URL=events_url + "_other")
    assert "another installation's events" in wrong.error


def test_events_in_the_database_are_not_left_behind(cli: Cli, events_url: str) -> None:
    """Setting the address is not enough once there are events."""
    cli.done("ingest", "-", stdin=lines(event(1)))
    cli.env["BILLING_EVENTS_URL"] = events_url
    cli.done("init")
    assert "billing events copy" in cli("usage", "acme", "--month", "2024-03").error


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:secret@host/d", "begin with clickhouse://"),
        ("clickhouse://u:secret@127.0.0.1:1/d", "check BILLING_EVENTS_URL and the server"),
    ],
)
def test_an_address_that_cannot_be_used(cli: Cli, url: str, says: str) -> None:
    outcome = cli("init", BILLING_EVENTS_URL=url)
    assert outcome.code == 2
    assert says in outcome.error
    assert "secret" not in outcome.error
