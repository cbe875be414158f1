"""The first page of accounts unlike the others: closed, with credit, with nothing that is billed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from billing.closing import close_account
from billing.credits import add_credit
from billing.links import create_link
from billing.summary import account_summary
from metering.period import parse_instant
from tests.billing.api.client import Client, running
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

NOW = parse_instant("2026-11-18T14:25:00Z")


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    for account in ("closed", "zombie", "credited", "failing"):
        world.account(account, since="2026-10")
    for account in ("closed", "zombie", "credited"):
        world.send(runs(20_000, account=account, day="2026-10-25", prefix=account))
    add_credit(world.engine, "credited", "100.00", "sorry", by="t", now=world.instant)
    world.service.run_month(OCTOBER)
    for account in ("closed", "zombie"):
        close_account(world.engine, world.store, account, on=OCTOBER.last_day, by="t", now=world.instant)
    world.send(runs(20_000, account="zombie", day="2026-11-03", prefix="since"))
    world.send(runs(7, account="failing", day="2026-11-03", state="CRASHED"))
    world.instant = NOW
    with running(world) as client:
        yield client


def words(client: Client, account: str, place: str = "") -> str:
    token = create_link(client.world.engine, account, now=NOW).token
    answer = client.ask("GET", f"/c/{token}/{place}", key=None)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_an_account_that_is_closed_says_so_and_promises_nothing(client: Client) -> None:
    said = words(client, "closed")
    assert "This account was closed on 31 Oct 2026." in said
    for promise in ("The next run", "Expected by", "Free runs", "is invoiced when it is over"):
        assert promise not in said
    assert "Amount so far 0.00 USD" in said and "2026-10-" in said


def test_what_runs_after_the_closing_has_no_price(client: Client) -> None:
    """A billing run bills none of it, and so no page says what it would cost."""
    said = words(client, "zombie")
    assert "20,000" in said and "25.00 USD" in said  # October's invoice
    assert "Amount so far not billed" in said
    assert "was closed on 31 Oct 2026" in words(client, "zombie", "explain")
    found = account_summary(client.world.service, "zombie")
    assert found.outlook is None and found.unpriced is not None and "closed on 2026-10-31" in found.unpriced


def test_credit_that_is_left_is_said(client: Client) -> None:
    assert "75.00 USD of account credit are left" in words(client, "credited")
    assert account_summary(client.world.service, "credited").to_data()["credit"] == 7500
    assert "account credit" not in words(client, "failing")


def test_runs_that_are_not_billed_are_not_nothing(client: Client) -> None:
    said = words(client, "failing")
    assert "Nothing has been used" not in said
    assert "None of this month's 7 runs is billed" in said
    assert "no billable runs in the last four weeks" in said


def test_each_invoice_has_its_files_on_the_first_page(client: Client) -> None:
    token = create_link(client.world.engine, "credited", now=NOW).token
    page = client.ask("GET", f"/c/{token}/", key=None).text
    (number,) = set(re.findall(r"2026-10-\d{6}", page))
    for name in ("invoice.pdf", "runs.csv"):
        assert f'href="./invoices/{number}/{name}"' in page
        assert client.ask("GET", f"/c/{token}/invoices/{number}/{name}", key=None).status_code == 200
