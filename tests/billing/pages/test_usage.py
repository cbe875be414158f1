"""The page of usage, and the figures of the first page, over HTTP: what they show is what the API says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date

import pytest

from billing.contract_invoices import invoice_contracts
from billing.tables import invoices
from metering.period import parse_instant
from tests.billing.api.client import Client, running
from tests.billing.pages.test_pages import ask
from tests.billing.pages.used import TODAY, used_world
from tests.conftest import NewDatabase


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    with running(used_world(sqlite_databases())) as client:
        yield client


def words(text: str) -> str:
    """What is read of a page, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()


def table_of(client: Client, query: str) -> list[dict[str, str]]:
    answer = ask(client, f"usage.csv?{query}")
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize(
    ("query", "by", "period", "windows"),
    [
        ("", "day", "month=2026-11", 30),
        ("month=2026-10", "day", "month=2026-10", 31),
        ("day=2026-11-17", "hour", "from=2026-11-17T00:00:00Z&to=2026-11-18T00:00:00Z", 24),
        ("year=2026", "month", "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z", 12),
    ],
)
def test_what_a_page_shows_is_what_the_api_says(
    client: Client, query: str, by: str, period: str, windows: int
) -> None:
    page = ask(client, f"usage?{query}")
    assert page.status_code == 200 and len(page.content) < 100_000
    said = client.get(f"/v1/accounts/acme/usage?{period}&by={by}").json()
    shown = words(page.text)
    rows = table_of(client, query)
    assert len(rows) == windows == page.text.count('<g class="slot">')
    assert sum(int(row["billable"]) for row in rows) == said["billable"]
    assert sum(int(row["failed"]) for row in rows) == said["not_billed"]["failed"]
    held = {each["start"]: each for each in said["windows"]}
    for row in rows:
        assert int(row["billable"]) == (held[row["start"]]["billable"] if row["start"] in held else 0)
    assert f"Billable runs {said['billable']:,}" in shown
    for of in ("workspace", "flow"):
        grouped = client.get(f"/v1/accounts/acme/usage?{period}&by=month&group_by={of}").json()
        parts = {row[of]: int(row["billable"]) for row in table_of(client, f"{query}&of={of}")}
        expected: dict[str, int] = {}
        for each in grouped["windows"]:
            expected[each[of]] = expected.get(each[of], 0) + each["billable"]
        assert parts == expected


def test_the_most_used_flows_and_all_others(client: Client) -> None:
    text = ask(client, "usage?month=2026-11").text
    flows = text[text.index('id="by-flow"') : text.index('id="figures"')]
    assert flows.count('<tr role="row"><th') == 1 + 9
    assert "4 others" in flows
    # To their runs, as many as are counted here.
    query = "runs?month=2026-11&amp;outcome=billable&amp;flow=acme-flow-1&amp;whole=yes"
    assert f'href="./{query}"' in flows
    last = ask(client, "usage?month=2026-10").text
    assert f'href="./{query.replace("-11", "-10")}"' in last
    assert ask(client, query.replace("&amp;", "&")).status_code == 200


def test_the_running_month_is_compared_to_the_same_hour(client: Client) -> None:
    shown = words(ask(client, "usage").text)
    # 18 days to 14:00, in either month: every day's runs have ended by then.
    assert f"{18 * 290:,} billable to 18 Oct 2026, 14:00 UTC" in shown
    assert "12 days" not in shown and f"{12 * 290:,} more expected" in shown
    past = client.get("/v1/accounts/acme/summary").json()["forecast"]["past"]
    assert past["ranges"] > 10 and past["message"].endswith("its range held what came 10 times of 10.")
    assert past["message"] in shown
    assert "Against October 2026 the same" in shown
    year = words(ask(client, "usage?year=2026").text)
    assert "Against 2025 none before" in year


def test_a_day_that_is_running_is_compared_to_the_hour_that_began_last(client: Client) -> None:
    """At 9:30 what ran since 9:00 is shown, and left out of the comparison; so is the rest of a week ago."""
    client.world.instant, before = parse_instant("2026-11-18T09:30:00Z"), client.world.instant
    shown = words(ask(client, "usage?day=2026-11-18").text)
    client.world.instant = before
    to_nine = sum(number % 14 < 9 and number % 30 != 29 for number in range(300))
    assert f"Against 11 November 2026 the same {to_nine} billable to 11 Nov 2026, 09:00 UTC" in shown


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("month=2026-13", 422), ("month=x", 422), ("day=2026-02-30", 422), ("year=26", 422),
        ("year=0000", 422), ("year=1999", 422), ("year=9999", 422), ("month=1999-01", 422),
        ("day=9998-12-31", 422),
        ("month=2026-10&day=2026-10-01", 422), ("year=²026", 422), ("month=2001-02", 200), ("year=9000", 200),
        ("day=2001-01-01", 200),
    ],
)  # fmt: skip
def test_other_times(client: Client, query: str, status: int) -> None:
    for place in ("usage", "usage.csv"):
        assert ask(client, f"{place}?{query}").status_code == status
    assert ask(client, "usage.csv?of=nothing").status_code == 422


def test_the_first_page_answers_the_five_questions(client: Client) -> None:
    page = ask(client).text
    shown = words(page)
    summary = client.get("/v1/accounts/acme/summary").json()
    assert summary["billable"] == 18 * 290 and summary["free_runs"]["used"] == 18 * 290
    assert f"Billable runs {18 * 290:,}" in shown
    expected = summary["forecast"]["billable"]
    assert expected == {"expected": 30 * 290, "low": 30 * 290, "high": 30 * 290}
    assert f"{30 * 290:,} expected, {30 * 290:,} to {30 * 290:,}" in shown
    assert "before, it was off by 0 % in the middle, and the range held 10 times of 10" in shown
    assert summary["forecast"]["past"]["message"] in shown
    assert f"{18 * 290:,} of 10,000 used this month" in shown
    assert "It is free , as are all up to 10,000 in a month" in shown
    assert "After 4,780 more, a run costs 0.0025 USD" in shown
    assert "Not billed 180 cost nothing" in shown
    assert "Alerts reached" in shown and "50 % of the 10,000 free task runs" in shown
    assert "0.00 USD of 1.00 USD a month used; 0.00 USD expected" in shown
    assert "Nothing is to be paid now." in shown
    assert "November 2026 is invoiced when it is over, on 2 Dec 2026 at the earliest." in shown
    assert "Counted as of 18 Nov 2026, 14:25 UTC" in shown
    for place in re.findall(r'<li><a href="#([\w-]+)">', page):
        assert page.count(f'id="{place}"') == 1
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_what_is_due_and_where_it_is_paid(client: Client) -> None:
    """globex has paid its grant neither; what leads anywhere but to Stripe is no link."""
    world = client.world
    invoice_contracts(world.engine, TODAY, now=world.instant)
    shown = words(ask(client, account="globex").text)
    assert "90.00 USD for 2026-11-000001" in shown and "comes with the invoice" in shown
    (due,) = client.get("/v1/accounts/globex/summary").json()["due"]
    assert (due["invoice"], due["amount"], due["url"]) == ("2026-11-000001", 9_000, None)
    leads = {
        "https://invoice.stripe.com/i/acct_1/test_2?s=ap": True,
        "https://invoice.stripe.com.example/i": False,
        "javascript:alert(1)": False,
    }
    for url, button in leads.items():
        with world.engine.begin() as connection:
            held = invoices.c.number == "2026-11-000001"
            connection.execute(invoices.update().where(held).values(status="open", hosted_invoice_url=url))
        page = ask(client, account="globex").text
        assert (f'href="{url}"' in page) is button and ("Pay 90.00 USD" in page) is button


def test_a_contract_with_its_balance_and_the_day_it_runs_out(client: Client) -> None:
    page = ask(client, account="globex").text
    report = client.get("/v1/contracts/globex-2026/report").json()
    shown = words(page)
    assert f"Left now {report['remaining']:,} of 20,000" in shown
    assert report["runs_out_on"] is not None
    year, month, day = report["runs_out_on"].split("-")
    assert f"Runs out {int(day)} {date(int(year), int(month), 1):%b} {year}" in shown
    assert f"Paid for in advance. {report['remaining']:,} runs are left" in shown
    assert page.count('class="burn-down') == 2
    assert "of this month were paid for in advance, by contract globex-2026" in shown


def test_nothing_of_another_account(client: Client) -> None:
    for place in ("", "usage", "usage?year=2026", "usage?day=2026-11-17", "usage.csv?of=flow", "runs"):
        for account in ("idle", "acme"):
            answer = ask(client, place, account=account)
            assert answer.status_code == 200
            text = answer.text
            assert "globex" not in text and "secret" not in text
            assert account == "acme" or "acme" not in text


def test_light_to_load(client: Client) -> None:
    for place in ("", "usage", "usage?day=2026-11-17", "usage?year=2026"):
        for account in ("acme", "globex", "idle"):
            answer = ask(client, place, account=account)
            assert answer.status_code == 200 and len(answer.content) < 100_000
