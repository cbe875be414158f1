"""Run lists: filters, their pages, months that are over, and what changed since an invoice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlencode

import httpx
import pytest

from billing.links import create_link
from billing.pages.run_search import Filter, billed_otherwise, plainly, run_page
from metering.outcome import Outcome
from metering.period import DAY_US
from metering.usage import Run
from tests.billing.api.client import Client, running
from tests.billing.months import dollars
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.world import OCTOBER

NUMBER = "2026-10-000001"


def named(run: str, day: int, flow: str, workspace: str, state: str = "COMPLETED") -> object:
    return event(run, end=f"2026-10-{day:02d}T02:00:05Z", flow=flow, workspace=workspace, state=state)


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    """120 runs of three flows on four days; after the invoice three come late, and one is taken back."""
    world = dollars(sqlite_databases())
    world.account("other", since="2026-09")
    flows = ("load", "reload", "50% & more")
    october = [
        named(f"run-{n:03d}", 3 + n % 4, flows[n % 3], "prod" if n % 2 else "prod-eu") for n in range(120)
    ]
    world.send(october, [event("sep", end="2026-09-30T23:59:59Z"), event("theirs", account="other")])  # type: ignore[list-item]
    world.service.run_month(OCTOBER.previous())
    world.service.run_month(OCTOBER)
    world.instant += 2 * DAY_US
    world.send([named(f"late-{n}", 9, "load", "prod") for n in range(3)])  # type: ignore[misc]
    world.send([event("run-007", end="2026-10-06T02:00:06Z", state="ROLLED_BACK")])
    with running(world) as client:
        yield client


def ask(client: Client, place: str, account: str = "acme", **query: str) -> httpx.Response:
    token = create_link(client.world.engine, account, now=client.world.instant).token
    return client.ask("GET", f"/c/{token}/{place}?{urlencode(query)}", key=None)


def listed(client: Client, place: str, **query: str) -> list[str]:
    """The ids on every page of a list, by its own links to the next one."""
    token = create_link(client.world.engine, "acme", now=client.world.instant).token
    found: list[str] = []
    following = "?" + urlencode(query)
    while following:
        answer = client.ask("GET", f"/c/{token}/{place}{following}", key=None)
        assert answer.status_code == 200, answer.text
        found += re.findall(r'scope="row" class="id">(?:<label[^>]*>)?([^<]+)', answer.text)
        more = re.search(r'<a rel="next" href="(\?[^"]+)"', answer.text)
        following = unescape(more[1]) if more else ""
    return found


@pytest.mark.parametrize("place", [f"invoices/{NUMBER}/runs", "runs"])
def test_a_list_is_filtered_by_day_workspace_and_flow(client: Client, place: str) -> None:
    asked = {} if place.startswith("invoices") else {"month": "2026-10"}
    of_day = listed(client, place, **asked, day="2026-10-03")
    assert of_day == [f"run-{n:03d}" for n in range(0, 120, 4)]
    both = listed(client, place, **asked, day="2026-10-04", workspace="PROD", flow="load", whole="no")
    assert both == [f"run-{n:03d}" for n in range(1, 120, 4) if n % 3 < 2]
    whole = listed(client, place, **asked, day="2026-10-05", flow="load", workspace="prod-eu", whole="yes")
    assert whole == [f"run-{n:03d}" for n in range(2, 120, 4) if n % 3 == 0]
    odd = listed(client, place, **asked, flow="50% & more", whole="yes")
    assert odd == [f"run-{n:03d}" for n in range(2, 120, 3)]


def test_pages_of_a_filtered_list_keep_the_filter(client: Client) -> None:
    found = listed(client, f"invoices/{NUMBER}/runs", workspace="prod-eu", whole="yes")
    assert found == [f"run-{n:03d}" for n in range(0, 120, 2)]  # two pages


def test_the_file_of_the_digest_is_the_same_whatever_is_asked(client: Client) -> None:
    place = f"invoices/{NUMBER}/runs.csv"
    whole, of_day = ask(client, place).content, ask(client, place, day="2026-10-03").content
    assert whole == of_day
    assert hashlib.sha256(whole).hexdigest() in ask(client, f"invoices/{NUMBER}").text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"day": "2026-11-01"}, "day 2026-11-01 is not in 2026-10"),
        ({"day": "yesterday"}, "is not a date"),
        ({"outcome": "good"}, "outcome"),
    ],
)
def test_a_filter_that_cannot_be_is_answered_in_words(
    client: Client, query: dict[str, str], says: str
) -> None:
    answer = ask(client, f"invoices/{NUMBER}/runs", **query)
    assert answer.status_code == 422
    assert says in unescape(answer.text).lower()


def test_a_month_that_is_over_is_listed_as_it_is_known_now(client: Client) -> None:
    assert listed(client, "runs", month="2026-09") == ["sep"]
    october = listed(client, "runs", month="2026-10")
    assert len(october) == 120 + 3 - 1 and "late-0" in october and "run-007" not in october
    assert ask(client, "runs", month="2026-13").status_code == 422
    assert ask(client, "runs", month="1999-01").status_code == 422
    assert "theirs" not in ask(client, "runs", month="2026-10").text
    # And the running month's is where it was.
    assert "Runs this month" in ask(client, "runs").text


def test_an_adjustment_leads_to_the_runs_that_it_is_for(client: Client) -> None:
    page = ask(client, "explain").text
    (link,) = re.findall(r'href="[./]*(runs\?[^"]*since[^"]*)"', page)
    query = dict(each.split("=") for each in unescape(link).partition("?")[2].split("&"))
    assert listed(client, "runs", **query) == ["late-0", "late-1", "late-2", "run-007"]
    shown = ask(client, "runs", **query).text
    assert "Runs that changed" in shown and f"invoices/{NUMBER}" in shown
    # Of another account's invoice there is nothing.
    assert ask(client, "runs", "other", **query).status_code == 404


def test_the_adjustment_of_an_invoice_leads_to_what_it_knew(client: Client) -> None:
    world = client.world
    world.instant = OCTOBER.next().end + 2 * DAY_US
    world.service.run_month(OCTOBER.next())
    world.send([named("later", 9, "load", "prod")])  # type: ignore[misc]
    page = ask(client, "invoices/2026-11-000001/explain").text
    (link,) = re.findall(r'href="[./]*(runs\?[^"]*since[^"]*)"', page)
    query = dict(each.split("=") for each in unescape(link).partition("?")[2].split("&"))
    assert listed(client, "runs", **query) == ["late-0", "late-1", "late-2", "run-007"]
    (link,) = re.findall(r'href="[./]*(runs\?[^"]*since[^"]*)"', ask(client, "explain").text)
    query = dict(each.split("=") for each in unescape(link).partition("?")[2].split("&"))
    assert query == {"month": "2026-10", "since": "2026-11-000001"}
    assert listed(client, "runs", **query) == ["later"]


def test_what_changed_on_a_day_is_found_at_once(sqlite_databases: NewDatabase) -> None:
    """However much has not changed: only the days whose counts changed are looked through."""
    world = dollars(sqlite_databases())
    world.send(runs(11_000, day="2026-10-03"), runs(5, day="2026-10-20", prefix="other"))
    world.service.run_month(OCTOBER)
    world.send([event("zz-late", end="2026-10-20T23:00:00Z")])
    with running(world) as client:
        number = "2026-10-000001"
        assert "zz-late" in ask(client, "runs", month="2026-10", since=number).text
        world.instant = OCTOBER.next().end + 2 * DAY_US
        world.service.run_month(OCTOBER.next())
        query = {"month": "2026-10", "since": number, "to": "2026-11-000001"}
        assert "zz-late" in ask(client, "runs", **query).text
        world.send([event("zz-later", end="2026-10-01T23:00:00Z")])
        found = ask(client, "runs", **query).text
        assert "zz-late" not in found and "Look further" in found  # it is not known on which days


def test_usage_leads_to_the_runs_of_a_day_of_a_flow_and_of_a_workspace(client: Client) -> None:
    page = unescape(ask(client, "usage", day="2026-10-03").text)
    assert 'runs?month=2026-10&outcome=billable&day=2026-10-03&workspace=prod-eu&whole=yes"' in page
    assert 'runs?month=2026-10&outcome=billable&day=2026-10-03&flow=load&whole=yes"' in page


def run(number: int, outcome: Outcome = Outcome.BILLABLE, flow: str = "") -> Run:
    return Run(f"run-{number:03d}", outcome, number, 1, "", flow)


def test_the_pages_of_a_list_are_the_list() -> None:
    all_runs = [run(n, Outcome(n % 7), "Load" if n % 2 else "x") for n in range(100)]
    for wanted in (
        Filter(), Filter(Outcome.BILLABLE), Filter(flow="LOA"), Filter(id="run-04"),
        Filter(flow="load", whole=True), Filter(flow="Load", whole=True), Filter(workspace="w"),
    ):  # fmt: skip
        found: list[Run] = []
        begin: str | None = wanted.id
        while begin is not None:
            rest = [each for each in all_runs if each.task_run_id >= begin]
            page = run_page(plainly(rest), wanted, size=4, look_at=9)
            assert len(page.runs) <= 4 and page.looked_at <= 9
            found += page.runs
            begin = page.next_id
        begun = [each for each in all_runs if each.task_run_id.startswith(wanted.id)]
        assert found == [each for each in begun if wanted.fits(each)]


def test_what_is_billed_otherwise_is_found_among_all_runs() -> None:
    """Each run of either list once, and whether it is billed in one of them alone."""
    failed = Outcome.FAILED
    then = [run(1), run(2), run(4, failed), run(5), run(7, failed)]
    now = [run(2), run(3), run(4), run(5, failed), run(6, failed), run(7, failed)]
    moved = {"run-001": Run("run-001", Outcome.BILLABLE, 10**15, 1, "", "")}
    found = list(billed_otherwise(then, now, moved.get))
    assert [each.task_run_id for each, _ in found] == [f"run-{n:03d}" for n in range(1, 8)]
    changed = [each.task_run_id for each, is_changed in found if is_changed]
    assert changed == ["run-001", "run-003", "run-004", "run-005"]
    assert found[0][0].ended_at == 10**15  # as it is now, in another month
