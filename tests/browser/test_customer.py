"""The customer's pages in a real browser: what a person does, with and without scripts, wide and narrow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from billing.invoices import list_invoices
from billing.links import Link, create_link, end_links
from metering.event import TaskRunEvent
from metering.period import HOUR_US
from tests.browser.conftest import serving
from tests.conftest import NewDatabase
from tests.events import event
from tests.world import OCTOBER, World

PHONE = (400, 850)
DESK = (1200, 900)
# Whatever an orchestrator may call a run.
ODD = "<b>\"odd\"&amp;'id'%2F+é"


def run_id(number: int) -> str:
    return f"0192d3a4-5b6c-7d8e-9f00-{number:012d}"


def october() -> list[TaskRunEvent]:
    """130 runs of two flows, of which every tenth failed."""
    return [
        event(
            run_id(number),
            state="FAILED" if number % 10 == 9 else "COMPLETED",
            flow="nightly-warehouse-load" if number % 2 else "<i>feature</i>-store",
            workspace="prod",
            end=f"2026-10-03T{number // 60:02d}:{number % 60:02d}:05Z",
        )
        for number in range(130)
    ]


class Service:
    """The service, the link to acme's pages, and what acme was invoiced."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.address = address
        self.invoice = self.invoice_of("acme")

    def invoice_of(self, account: str) -> str:
        (found,) = list_invoices(self.world.engine, account=account, month=OCTOBER)
        assert found.number is not None
        return found.number

    def link(self, account: str = "acme", hours: int = 24) -> Link:
        return create_link(self.world.engine, account, now=self.world.instant, hours=hours)

    def url(self, place: str = "", link: Link | None = None) -> str:
        return (link or self.link()).url(self.address) + place


@pytest.fixture(scope="module")
def service(sqlite_databases: NewDatabase) -> Iterator[Service]:
    world = World(sqlite_databases())
    for account in ("acme", "other"):
        world.account(account, since="2026-10")
    world.send(october(), [event("theirs", account="other"), event(ODD, end="2026-11-01T12:00:00Z")])
    world.service.run_month(OCTOBER)
    with serving(world) as address:
        yield Service(world, address)


@contextmanager
def visiting(
    browser: Browser, size: tuple[int, int] = DESK, *, scripts: bool = True, scheme: str = "light"
) -> Iterator[Page]:
    """A page of a visitor of its own. Nothing is asked of any other host, and nothing complained of."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        color_scheme=scheme,  # type: ignore[arg-type]
        accept_downloads=True,
    )
    page = context.new_page()
    hosts: set[str] = set()
    complaints: list[str] = []
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    assert hosts <= {"127.0.0.1"}
    # A status that is not 200 is said there too; what breaks the page's own policy must not be.
    assert [each for each in complaints if "Failed to load resource" not in each] == []
    assert context.cookies() == []
    context.close()


def test_a_dispute_from_the_link_to_the_answer_without_scripts(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    with visiting(browser, scripts=False) as page:
        page.goto(service.url())
        expect(page.get_by_role("heading", level=1)).to_have_text("November 2026 so far")
        expect(page.get_by_role("progressbar")).to_be_visible()
        page.get_by_role("link", name=service.invoice, exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the CSV").click()
        path = tmp_path / "runs.csv"
        download.value.save_as(path)
        assert download.value.suggested_filename == f"{service.invoice}-runs.csv"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        expect(page.locator("code.digest")).to_have_text(digest)
        assert len(path.read_bytes().splitlines()) == 117 + 1

        with page.expect_download() as download:
            page.get_by_role("link", name="Download the PDF").click()
        assert download.value.suggested_filename == f"{service.invoice}.pdf"
        download.value.save_as(tmp_path / "invoice.pdf")
        pdf = "".join(each.extract_text() for each in PdfReader(tmp_path / "invoice.pdf").pages)
        assert digest in pdf and f"Invoice {service.invoice}" in pdf

        page.get_by_role("link", name="See and dispute runs").click()
        rows = page.get_by_role("row")
        expect(rows).to_have_count(50 + 1)
        page.get_by_role("link", name="Next page").click()
        expect(rows).to_have_count(50 + 1)
        page.get_by_role("link", name="Next page").click()
        expect(rows).to_have_count(17 + 1)

        page.get_by_label("Outcome").select_option("Failed")
        page.get_by_role("button", name="Filter").click()
        expect(rows).to_have_count(13 + 1)
        expect(page.get_by_role("checkbox")).to_have_count(0)  # nothing to dispute
        page.get_by_label("Outcome").select_option("All")
        page.get_by_label("Flow contains").fill("WAREHOUSE")
        page.get_by_label("Task run id begins with").fill(run_id(0)[:-2])
        page.get_by_role("button", name="Filter").click()
        expect(rows).to_have_count(50 + 1)
        page.get_by_label("Task run id begins with").fill(run_id(21))
        page.get_by_role("button", name="Filter").click()
        expect(rows).to_have_count(1 + 1)

        page.get_by_label("Task run id begins with").fill("")
        page.get_by_role("button", name="Filter").click()
        for number in (1, 3, 5):
            page.get_by_label(run_id(number)).check()
        page.get_by_role("button", name="Dispute the ticked runs").click()
        expect(page.get_by_role("checkbox")).to_have_count(3)
        page.get_by_label("Other task runs").fill("nowhere")
        page.get_by_label("What is wrong").fill("A load test.\n<script>alert(1)</script>")
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Raise the dispute").click()
        expect(page.get_by_role("alert")).to_contain_text("1 of 4 are not on the run list")
        expect(page.get_by_label("What is wrong")).to_have_value("A load test.\n<script>alert(1)</script>")
        page.get_by_label("Other task runs").fill("")
        page.get_by_role("button", name="Raise the dispute").click()
        expect(page.get_by_role("status")).to_have_text(
            "Your dispute is raised. The answer will be on this page."
        )
        expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
        here = page.url
        page.reload()  # sent once: this is a page, not a form

        (waiting,) = re.findall(r"dsp_\w+", page.locator("main").inner_text())
        service.world.service.answer_dispute(
            waiting, reply="Right, two of them.", reverse_runs=[run_id(1), run_id(3)], by="operator"
        )
        page.goto(here)
        expect(page.get_by_role("heading", level=1)).to_contain_text("Partly corrected")
        expect(page.get_by_text("Right, two of them.")).to_be_visible()
        expect(page.get_by_role("cell", name="Reversed")).to_have_count(2)
        page.get_by_role("link", name="Disputes").first.click()
        expect(page.get_by_role("row").nth(1)).to_contain_text("3 runs of")


PLACES = (
    "", "usage", "usage?day=2026-10-03", "usage?year=2026", "runs", "runs?outcome=any", "disputes",
    "invoices/{}", "invoices/{}/runs", "invoices/{}/runs?flow=nothing", "invoices/2026-10-999999",
)  # fmt: skip


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(
    service: Service, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    """Nothing that axe-core finds fault with, nothing wider than the screen, and light to load."""
    with visiting(browser, size, scheme=scheme) as page:
        weights: list[int] = []
        page.on("response", lambda response: weights.append(len(response.body())))

        def look() -> None:
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
            assert sum(weights) < 300_000
            weights.clear()

        for place in PLACES:
            page.goto(service.url(place.format(service.invoice)))
            look()
        page.goto(service.url(f"invoices/{service.invoice}/runs?id={run_id(40 + size[0] % 7)}"))
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Dispute the ticked runs").click()
        look()
        page.get_by_label("What is wrong").fill("x")
        page.get_by_label("Your name").fill("Ada")
        page.get_by_label("Other task runs").fill("nowhere")
        page.get_by_role("button", name="Raise the dispute").click()
        expect(page.get_by_role("alert")).to_be_visible()
        look()
        page.goto(service.url().replace("/c/", "/c/x"))
        look()


def test_with_the_keyboard_alone(service: Service, browser: Browser) -> None:
    with visiting(browser) as page:
        page.goto(service.url(f"invoices/{service.invoice}/runs"))
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.get_by_label("Task run id begins with").focus()
        page.keyboard.type(run_id(60))
        page.keyboard.press("Enter")
        page.get_by_role("checkbox").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Dispute the ticked runs")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("checkbox")).to_be_checked()


def test_an_odd_id_comes_through_the_form_as_it_is(service: Service, browser: Browser) -> None:
    with visiting(browser) as page:
        page.goto(service.url("runs"))
        page.get_by_label(ODD).check()
        page.get_by_role("button", name="Dispute the ticked runs").click()
        page.get_by_label("What is wrong").fill("its name")
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Raise the dispute").click()
        expect(page.get_by_role("rowheader")).to_have_text(ODD)


def test_a_link_that_is_not_whole_or_has_ended(service: Service, browser: Browser) -> None:
    link = service.link(hours=1)
    with visiting(browser) as page:
        answer = page.goto(service.url(link=link))
        assert answer is not None and answer.status == 200
        # One letter another: of the last one only four are ever met, so it may be what is put in its place.
        other = ("A" if link.token[-2] != "A" else "B").join((link.token[:-2], link.token[-1]))
        answer = page.goto(service.url(link=Link("acme", other, 0)))
        assert answer is not None and answer.status == 403
        expect(page.get_by_text("This link is not valid")).to_be_visible()
        service.world.instant += HOUR_US
        answer = page.goto(service.url(link=link))
        assert answer is not None and answer.status == 403
        expect(page.get_by_text("This link has expired")).to_be_visible()
        expect(page.get_by_role("link")).to_have_count(1)  # the skip link: there is nowhere to go
        link = service.link()
        end_links(service.world.engine, service.world.instant)
        answer = page.goto(service.url(link=link))
        assert answer is not None and answer.status == 403


def test_what_another_account_has_is_not_there(service: Service, browser: Browser) -> None:
    theirs = service.invoice_of("other")
    with visiting(browser) as page:
        for place in (f"invoices/{theirs}", f"invoices/{theirs}/runs", f"invoices/{theirs}/invoice.pdf"):
            answer = page.goto(service.url(place))
            assert answer is not None and answer.status == 404
            expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
        page.get_by_role("link", name="To the overview").click()
        expect(page.get_by_text("theirs")).to_have_count(0)
