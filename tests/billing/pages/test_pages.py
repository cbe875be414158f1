"""What every page and form is held to, over HTTP: headers, forms of other sites, odd addresses, words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.routing import Route

from billing.disputes import list_disputes
from billing.links import create_link
from billing.pages import make_pages
from billing.pages.runs_page import Filter, run_page
from billing.sources import add_source, declare, server_of
from metering.outcome import Outcome
from metering.period import HOUR_US
from metering.usage import Run
from tests.billing.api.client import Client, running
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.world import OCTOBER, World

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    for account in ("acme", "other", "idle"):
        world.account(account, since="2026-10")
    world.account("later", since="2027-01")
    world.send(runs(12_000), runs(2, account="other"), runs(3, account="later", day="2026-11-01"))
    world.service.run_month(OCTOBER)
    with running(world) as client:
        yield client


def ask(
    client: Client, place: str = "", method: str = "GET", account: str = "acme", **more: Any
) -> httpx.Response:
    token = create_link(client.world.engine, account, now=client.world.instant).token
    return client.ask(method, f"/c/{token}/{place}", key=None, **more)


def post(client: Client, place: str, *pairs: tuple[str, str], **headers: str) -> httpx.Response:
    return ask(client, place, "POST", content=urlencode(pairs), headers={"Content-Type": FORM} | headers)


GOOD = (("run", "run-0000001"), ("message", "x"), ("raised_by", "Ada"))


def places() -> list[str]:
    made = make_pages(None)  # type: ignore[arg-type] - only its routes are looked at
    paths = [
        route.path for route in made.routes if isinstance(route, Route) and "GET" in (route.methods or ())
    ]
    return [path.removeprefix("/{token}/") for path in paths if path.startswith("/{token}/")]


@pytest.mark.parametrize("place", [*places(), "nowhere", "disputes/new"])
def test_every_answer_keeps_the_address_secret(client: Client, place: str) -> None:
    """Also of what is not there, and of a link that is not good."""
    filled = place.format(invoice="2026-10-000001", dispute="dsp_0")
    answers = [ask(client, filled), client.get(f"/c/bad/{filled}", key=None), client.get("/c/bad", key=None)]
    there = 404 if place in ("nowhere", "disputes/new", "disputes/{dispute}") else 200
    assert [each.status_code for each in answers] == [there, 404 if place == "nowhere" else 403, 307]
    for answer in answers:
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "noindex" in answer.headers["x-robots-tag"]
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "set-cookie" not in answer.headers
        if "html" in answer.headers.get("content-type", ""):
            assert "<script" not in answer.text and " style=" not in answer.text


@pytest.mark.parametrize("place", places())
@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("", 404),
        ("x", 403),
        ("a.b", 403),
        ("MTc5NTQ5ODYwNjphY21l.", 403),
        ("\u00e9.\u00e9", 403),
        ("%00", 422),
        ("..%2f..", 404),
    ],
)
def test_without_a_good_link_nothing_is_shown(client: Client, place: str, token: str, status: int) -> None:
    filled = place.format(invoice="2026-10-000001", dispute="dsp_0")
    answer = client.get(f"/c/{token}/{filled}", key=None)
    assert answer.status_code == status
    assert "acme" not in answer.text


@pytest.mark.parametrize("account", ["other", "idle", "later"])
def test_a_link_shows_its_account_and_no_other(client: Client, account: str) -> None:
    for place in places():
        answer = ask(client, place.format(invoice="2026-10-000001", dispute="dsp_0"), account=account)
        if "{" in place:
            assert answer.status_code == 404
        else:
            assert answer.status_code == 200
        assert "acme" not in answer.text


def test_an_api_key_opens_no_page_and_a_link_no_route_of_the_api(client: Client) -> None:
    token = create_link(client.world.engine, "acme", now=client.world.instant).token
    assert client.get("/v1/accounts/acme", key=token).status_code == 401
    assert client.get(f"/c/{client.key('admin').secret}/", key="admin").status_code == 403


def test_the_first_page_says_what_is_free_and_what_is_billed(client: Client) -> None:
    shown = ask(client).text
    assert "November 2026" in shown and ">2026-10-000001<" in shown
    assert "5.00 USD" in shown  # October's 2,000 runs beyond the free ones
    later = ask(client, account="later").text  # runs before it is billed
    assert "billed from January 2027 on" in later and "USD" not in later


def test_the_first_page_says_to_when_it_is_complete(client: Client) -> None:
    world = client.world
    assert "omplete" not in ask(client, account="idle").text
    declare(
        world.engine,
        world.store,
        "idle",
        "airflow",
        complete_to=OCTOBER.end + 14 * HOUR_US,
        now=world.instant,
    )
    assert "Complete to <time" in ask(client, account="idle").text
    assert ">1 Nov 2026, 14:00</time> UTC" in ask(client, account="idle").text
    server = server_of("http://127.0.0.1:4200/api")
    add_source(world.engine, "idle", "prefect", server, since=None, now=world.instant)
    assert "Not known to be complete" in ask(client, account="idle").text


def test_an_invoice_is_downloaded_as_a_pdf(client: Client) -> None:
    assert "invoices/2026-10-000001/invoice.pdf" in ask(client, "invoices/2026-10-000001").text
    answer = ask(client, "invoices/2026-10-000001/invoice.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="2026-10-000001.pdf"'
    assert answer.content.startswith(b"%PDF-")
    assert answer.content == client.get("/v1/invoices/2026-10-000001/pdf").content


def test_a_form_of_another_site_does_nothing(client: Client) -> None:
    """It would need the address; and if it had that, the browser would say where the form came from."""
    for site in ("cross-site", "same-site"):
        answer = post(client, "disputes", *GOOD, **{"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert list_disputes(client.world.engine, account="acme") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"\xff\xfe", 422),
        (b"run=%ff&message=x&raised_by=y", 422),
        (b"run=" + b"&run=".join(b"%d" % number for number in range(1200)), 422),
        (b"message=" + b"x" * (1 << 20), 413),
        (b"invoice=2026-10-000002&run=run-0000001&message=x&raised_by=y", 404),
        (b"invoice=nothing&run=run-0000001&message=x&raised_by=y", 404),
    ],
)
def test_a_form_that_cannot_be_used_is_answered_in_words(client: Client, body: bytes, status: int) -> None:
    answer = ask(client, "disputes", "POST", content=body, headers={"Content-Type": FORM})
    assert answer.status_code == status
    assert list_disputes(client.world.engine, account="acme") == []


def test_a_form_sent_twice_leads_to_the_same_dispute(client: Client) -> None:
    fields = (*GOOD, ("request", "once"), ("invoice", "2026-10-000001"))
    first, second = post(client, "disputes", *fields), post(client, "disputes", *fields)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    again = post(client, "disputes", *fields[:3], ("request", "another"))
    assert again.status_code == 409 and "is in dispute" in again.text


def test_the_pages_may_be_framed_by_sites_that_are_named(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.account("acme")
    world.service.settings.embed_origins = "https://portal.example https://*.example.com:8443"
    with running(world) as client:
        policy = ask(client).headers["content-security-policy"]
    assert policy.endswith("frame-ancestors https://portal.example https://*.example.com:8443")


def test_a_search_that_finds_little_is_continued(client: Client) -> None:
    """A page looks at so many runs; where few fit, the reader goes on from there."""
    answer = ask(client, "invoices/2026-10-000001/runs?outcome=failed")
    assert "None of the 10,000 runs looked at fits so far." in answer.text
    assert "from=run-0010000" in answer.text
    last = ask(client, "invoices/2026-10-000001/runs?outcome=failed&from=run-0010000")
    assert "No task run fits." in last.text


def test_the_pages_of_a_list_are_the_list() -> None:
    listed = [Run(f"run-{n:03d}", Outcome(n % 7), n, 1, "", "Load" if n % 2 else "x") for n in range(100)]
    for wanted in (Filter(), Filter(Outcome.BILLABLE), Filter(flow="LOA"), Filter(id="run-04")):
        found: list[Run] = []
        begin: str | None = wanted.id
        while begin is not None:
            rest = (run for run in listed if run.task_run_id >= begin)
            page = run_page(rest, wanted, size=4, look_at=9)
            assert len(page.runs) <= 4 and page.looked_at <= 9
            found += page.runs
            begin = page.next_id
        assert found == [run for run in listed if wanted.fits(run) and run.task_run_id.startswith(wanted.id)]


def test_a_run_that_was_billed_and_is_gone_from_the_month_is_on_its_invoice(client: Client) -> None:
    """The run list of an invoice is as the invoice found it."""
    client.world.send([event("run-0000005", state="ROLLED_BACK", end="2026-10-03T12:00:06Z")])
    assert "run-0000005" in ask(client, "invoices/2026-10-000001/runs?id=run-0000005").text
    assert (
        "No task run fits" in ask(client, "invoices/2026-10-000001/runs?id=run-0000005&outcome=reversed").text
    )
