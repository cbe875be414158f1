"""billing collect prefect, billing sources, and what they show elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metering.clock import now_instant
from metering.period import DAY_US, HOUR_US, MINUTE_US, Month, format_instant
from tests.billing.cli.conftest import Cli
from tests.metering.prefect_double import PrefectDouble, prefect_double, row


@pytest.fixture
def double() -> Iterator[PrefectDouble]:
    """Its clock is the real one, as is that of the commands."""
    with prefect_double() as made:
        made.clock = now_instant
        yield made


def ago(span_us: int) -> str:
    return format_instant(now_instant() - span_us)


def test_collecting_from_a_server_remembers_it_and_says_what_came(cli: Cli, double: PrefectDouble) -> None:
    cli.done("accounts", "add", "acme", "--billing-from", str(Month.of(now_instant() - DAY_US)))
    for number in range(60):
        double.finish(number, end=ago(HOUR_US + number * MINUTE_US))
    once = ("collect", "prefect", "--api-url", double.url, "--account", "acme", "--once")
    said = cli.done(*once)
    assert said.out.startswith("prefect (acme): 60 events, 60 new; read to ")
    assert ", 60 task runs" in said.out
    (again,) = cli.json(*once)
    assert (again["source"], again["accepted"], again["finished"]) == ("prefect", 0, True)
    (listed,) = cli.json("sources", "list")
    assert listed == cli.json("sources", "show", "prefect")
    assert (listed["runs"], listed["missing"], listed["lost"]) == (60, 0, None)
    months = {str(Month.of(now_instant() - span)) for span in (HOUR_US, 2 * HOUR_US)}
    usages = [cli.json("usage", "acme", "--month", month) for month in months]
    assert sum(each["billable"] for each in usages) == 60
    assert usages[0]["watermark"]["complete_to"] == listed["complete_to"]
    assert "Complete to 20" in cli.done("usage", "acme").out


def test_what_is_wrong_with_a_source_is_told_and_exits_1(cli: Cli, double: PrefectDouble) -> None:
    cli.done("sources", "add", "eu", "--account", "acme", "--api-url", double.url,
             "--key-name", "BILLING_PREFECT_API_KEY_EU", "--since", ago(30 * DAY_US))  # fmt: skip
    double.rows += [row(1, end=ago(20 * DAY_US)), row(2, end=ago(20 * MINUTE_US), updated=ago(0))]
    double.key = "pnu_1"
    refused = cli("collect", "prefect", "--once")
    assert refused.code == 1
    assert "check BILLING_PREFECT_API_KEY_EU" in refused.err
    shown = cli("sources", "list")
    assert shown.code == 1
    assert "failing since" in shown.out
    told = cli("collect", "prefect", "--once", BILLING_PREFECT_API_KEY_EU="pnu_1")
    assert told.code == 1
    assert "LOST: eu (acme) was not read for longer than it keeps events" in told.err
    assert "RECOVERED: eu (acme) has no events of 1 task runs" in told.err
    assert "MISSING: eu (acme) has 1 task runs, or more, of which it gives no events" in told.err
    assert "pnu_1" not in cli("sources", "show", "eu").out


def test_sources_are_changed_declared_and_removed(cli: Cli) -> None:
    cli.done("sources", "add", "eu", "--account", "acme", "--api-url", "http://prefect:4200")
    changed = cli.json("sources", "update", "eu", "--workspace", "eu", "--retention-days", "30")
    assert (changed["workspace"], changed["retention_days"]) == ("eu", 30)
    declared = cli.json("sources", "declare", "airflow", "2026-10-01T00:00:00Z", "--account", "acme")
    assert declared["complete_to"] == "2026-10-01T00:00:00Z"
    assert [each["source"] for each in cli.json("sources", "list")] == ["airflow", "eu"]
    for name in ("airflow", "eu"):
        cli.done("sources", "remove", name)
    assert cli.json("sources", "list") == []
    assert "There are no sources" in cli.done("collect", "prefect", "--once").err


def test_a_month_that_is_not_complete_is_left_as_a_draft(cli: Cli, folder: object) -> None:
    from tests.billing.cli.conftest import event, lines

    cli.done("accounts", "add", "acme", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(event(1), event(2)))
    cli.done("sources", "declare", "airflow", "2024-03-31T00:00:00Z", "--account", "acme")
    ran = cli("run", "2024-03")
    assert ran.code == 1
    assert "incomplete: acme: source airflow is" in " ".join(ran.err.split())
    assert "--bill-incomplete" in ran.err
    assert cli.json("invoices", "list")[0]["status"] == "draft"
    assert cli("run", "2024-03", "--bill-incomplete").code == 0
    assert cli.json("invoices", "list")[0]["status"] == "paid"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["collect", "prefect", "--api-url", "http://h:1"], "--api-url needs --account"),
        (["collect", "prefect", "--api-url", "nowhere", "--account", "a", "--once"], "is not the address of"),
        (["collect", "prefect", "--json"], "give it with --once"),
        (["collect", "prefect", "--source", "eu", "--api-url", "http://h", "--account", "a"], "give one of"),
        (["collect", "prefect", "--source", "eu", "--once"], "there is no source 'eu'"),
        (["collect", "prefect", "--since", "2026-01-01T00:00:00Z", "--once"], "give it with --api-url"),
        (["sources", "show", "eu"], "there is no source 'eu'; see: billing sources list"),
        (["sources", "add", "a b", "--account", "acme", "--api-url", "http://h"], "source must be 1 to 64"),
        (["sources", "add", "eu", "--account", "a b", "--api-url", "http://h"], "account must be 1 to 64"),
        (["sources", "add", "eu", "--account", "a", "--api-url", "ftp://h"], "is not the address of"),
        (["sources", "add", "eu", "--account", "a", "--api-url", "http://h", "--key-name",
          "BILLING_STRIPE_API_KEY"], "key_name must begin with BILLING_PREFECT_API_KEY"),
        (["sources", "add", "eu", "--account", "a", "--api-url", "http://h", "--retention-days", "0"],
         "retention_days must be 1 to 3650"),
        (["sources", "add", "eu", "--account", "a", "--api-url", "http://h", "--since",
          "2999-01-01T00:00:00Z"], "since is in the future"),
        (["sources", "declare", "x", "2999-01-01T00:00:00Z", "--account", "a"], "complete_to is in the"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(cli: Cli, words: list[str], says: str) -> None:
    outcome = cli(*words)
    assert outcome.code == 2
    assert says in outcome.error


def test_a_source_is_added_once(cli: Cli) -> None:
    words = ("sources", "add", "eu", "--account", "acme", "--api-url", "http://prefect:4200")
    cli.done(*words)
    assert "has a source 'eu' already" in cli(*words).error


def test_a_servers_task_runs_belong_to_one_account(cli: Cli) -> None:
    """They would be billed twice."""
    cli.done("sources", "add", "eu", "--account", "acme", "--api-url", "http://prefect:4200")
    other = ("collect", "prefect", "--api-url", "http://prefect:4200/api/", "--account", "globex", "--once")
    assert "is source 'eu' of account acme already" in cli(*other).error
    cli.done("sources", "add", "us", "--account", "globex", "--api-url", "http://other:4200")
    assert "is source 'eu' of account acme already" in (
        cli("sources", "update", "us", "--api-url", "http://prefect:4200").error
    )
    cli.done("sources", "update", "eu", "--api-url", "http://prefect:4200", "--workspace", "eu")
