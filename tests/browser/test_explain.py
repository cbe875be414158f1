"""Explaining in a real browser: from a line of an invoice to the task runs in two clicks, for everybody."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from billing.links import create_link
from billing.pages.words import month_text
from tests.billing.explaining.test_doors import Story
from tests.browser.conftest import serving
from tests.browser.test_customer import DESK, PHONE, visiting
from tests.conftest import NewDatabase
from tests.world import World

SCRIPT = Path(__file__).parents[2] / "scripts" / "verify_invoice.py"


class Place:
    """Where acme's pages are; its story is that of `tests/billing/explaining`."""

    def __init__(self, story: Story, address: str) -> None:
        self.story = story
        self._address = address

    def url(self, place: str = "", account: str = "acme") -> str:
        world = self.story.world
        return create_link(world.engine, account, now=world.instant).url(self._address) + place


@pytest.fixture(scope="module")
def place(sqlite_databases: NewDatabase) -> Iterator[Place]:
    story = Story(World(sqlite_databases()))
    with serving(story.world) as address:
        yield Place(story, address)


def test_from_every_line_to_the_task_runs_in_two_clicks(place: Place, browser: Browser) -> None:
    number = place.story.november.number
    with visiting(browser, scripts=False) as page:
        page.goto(place.url(f"invoices/{number}"))
        lines = page.get_by_title("Why this is what it is")
        expect(lines).to_have_count(len(place.story.november.lines))
        for at in range(lines.count()):
            page.goto(place.url(f"invoices/{number}"))
            lines.nth(at).click()
            expect(page).to_have_url(place.url(f"invoices/{number}/explain#line-{at + 1}"))
            expect(page.locator(f"#line-{at + 1}")).to_be_in_viewport()
            page.locator(f"#line-{at + 1}").get_by_role("link", name="See the task runs").click()
            line = place.story.november.lines[at]
            of = f"Runs that changed {month_text(line.month)}" if line.month else f"Run list of {number}"
            expect(page.get_by_role("heading", level=1)).to_have_text(of)


def test_what_is_downloaded_holds(place: Place, browser: Browser, tmp_path: Path) -> None:
    number = place.story.october.number
    with visiting(browser, scripts=False) as page:
        page.goto(place.url(f"invoices/{number}/explain"))
        for button, name in (("Download the run list", "runs.csv"), ("Download the figures", "invoice.json")):
            with page.expect_download() as download:
                page.get_by_role("link", name=button).click()
            download.value.save_as(tmp_path / name)
        digest = hashlib.sha256((tmp_path / "runs.csv").read_bytes()).hexdigest()
        expect(page.locator("code.digest")).to_have_text(digest)
    assert json.loads((tmp_path / "invoice.json").read_text())["number"] == number
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, "invoice.json", "runs.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stdout  # an adjustment rests on another invoice
    assert done.stdout.endswith(" hold, 0 do not, 1 not checked.\n")


def test_the_month_so_far_is_explained_from_the_first_page(place: Place, browser: Browser) -> None:
    with visiting(browser, scripts=False) as page:
        page.goto(place.url())
        page.get_by_title("Why this is what it is").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Why December 2026 so far is")
        page.get_by_role("link", name="See the task runs").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Runs this month")


def test_a_flow_leads_to_its_task_runs(place: Place, browser: Browser) -> None:
    with visiting(browser, scripts=False) as page:
        page.goto(place.url(f"invoices/{place.story.october.number}/explain"))
        page.get_by_role("link", name="f1", exact=True).click()
        expect(page.get_by_role("row")).to_have_count(50 + 1)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(place: Place, browser: Browser, size: tuple[int, int], scheme: str) -> None:
    story = place.story
    with visiting(browser, size, scheme=scheme) as page:
        weights: list[int] = []
        page.on("response", lambda response: weights.append(len(response.body())))
        for invoice in (story.october, story.november, story.contract, None):
            where = "explain" if invoice is None else f"invoices/{invoice.number}/explain"
            page.goto(place.url(f"{where}#line-1"))
            for details in page.locator("details").all():
                details.locator("summary").click()
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
            assert sum(weights) < 300_000
            weights.clear()


def test_what_another_account_has_is_not_explained(place: Place, browser: Browser) -> None:
    with visiting(browser) as page:
        for name in ("explain", "invoice.json"):
            answer = page.goto(place.url(f"invoices/{place.story.october.number}/{name}", "other"))
            assert answer is not None and answer.status == 404
            expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
