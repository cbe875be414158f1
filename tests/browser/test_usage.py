"""What a customer sees of ten weeks of usage, in a real browser: wide and narrow, light and dark, without
scripts."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from billing.links import create_link
from tests.billing.pages.used import used_world
from tests.browser.conftest import serving
from tests.browser.test_customer import DESK, PHONE, visiting
from tests.conftest import NewDatabase
from tests.world import World


class Service:
    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.address = address

    def url(self, place: str = "", account: str = "acme") -> str:
        link = create_link(self.world.engine, account, now=self.world.instant, hours=24)
        return link.url(self.address) + place


@pytest.fixture(scope="module")
def service(sqlite_databases: NewDatabase) -> Iterator[Service]:
    world = used_world(sqlite_databases())
    with serving(world) as address:
        yield Service(world, address)


PLACES = [
    ("acme", ""), ("globex", ""), ("idle", ""), ("acme", "usage"), ("acme", "usage?day=2026-11-17"),
    ("acme", "usage?year=2026"), ("idle", "usage"),
]  # fmt: skip


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_what_was_used(
    service: Service, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    """Nothing that axe-core finds fault with, nothing wider than the screen, light to load; and the letters
    of pictures are as large on a phone as on a desk."""
    with visiting(browser, size, scheme=scheme) as page:
        weights: list[int] = []
        page.on("response", lambda response: weights.append(len(response.body())))
        for account, place in PLACES:
            page.goto(service.url(place, account))
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
            assert sum(weights) < 300_000
            weights.clear()
            letters = page.locator("svg text:visible").evaluate_all(
                "all => all.map(each => each.getBoundingClientRect().height)"
            )
            assert letters and min(letters) >= 10, page.url
            # Labels below the bars do not run into one another.
            places = page.locator(".bars text:visible").evaluate_all(
                "all => all.map(each => each.getBoundingClientRect()).map(box => [box.left, box.right])"
            )
            assert all(right < left for (_, right), (left, _) in pairwise(places))


def test_the_five_questions_lead_to_their_answers(service: Service, browser: Browser) -> None:
    with visiting(browser, scripts=False) as page:
        page.goto(service.url())
        questions = page.get_by_role("navigation", name="Questions").get_by_role("link")
        expect(questions).to_have_count(5)
        for place in ("used", "cost", "why", "not-billed", "pay"):
            page.locator(f"nav.questions a[href='#{place}']").click()
            expect(page).to_have_url(re.compile(f"#{place}$"))
            expect(page.locator(f"#{place}")).to_be_in_viewport()


def test_from_the_year_to_the_hour_and_to_the_runs_of_a_flow(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    with visiting(browser, scripts=False) as page:
        page.goto(service.url())
        page.get_by_role("link", name="Usage in detail").click()
        page.get_by_role("link", name="Year").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Usage 2026")
        page.get_by_role("link", name="October 2026").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Usage October 2026")
        expect(page.get_by_role("link", name="November 2026")).to_be_visible()  # back to where it came from
        page.get_by_role("link", name="Sat 3 Oct").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Usage 3 October 2026")
        figures = page.get_by_role("table", name="Task runs of 3 October 2026 by the hour")
        expect(figures.get_by_role("row")).to_have_count(1 + 24 + 1)
        expect(figures.get_by_role("row", name="00:00 to 01:00")).to_contain_text("22")
        # The picture says in words what it shows, and each bar what it holds.
        picture = page.get_by_role("img", name="Task runs of 3 October 2026")
        expect(picture).to_have_accessible_description(
            "By the hour: 290 billable, 10 not billed. The most billable ones, 22: 00:00 to 01:00. "
            "290 billable to the same time of 26 September 2026. The table below has the figures."
        )
        assert page.locator(".slot title").first.text_content() == (
            "00:00 to 01:00: Billable 22, Not billed 0, Billable on 26 September 2026: 22"
        )
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as CSV").click()
        assert download.value.suggested_filename == "usage-2026-10-03.csv"
        download.value.save_as(tmp_path / "day.csv")
        with (tmp_path / "day.csv").open(newline="") as file:
            assert sum(int(row["billable"]) for row in csv.DictReader(file)) == 290
        page.get_by_role("link", name="acme-flow-1", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Runs of October 2026")
        expect(page.get_by_label("Flow contains")).to_have_value("acme-flow-1")
        expect(page.get_by_label("Ended on")).to_have_value("2026-10-03")
        expect(page.get_by_label("Names")).to_have_value("yes")
        expect(page.get_by_role("row")).to_have_count(25 + 1)


def test_a_chart_is_read_out_with_the_keyboard_and_by_touch(service: Service, browser: Browser) -> None:
    with visiting(browser) as page:
        for place in ("", "usage?day=2026-10-03"):
            page.goto(service.url(place))
            readout = page.locator(".readout")
            expect(readout).to_have_text("Point at a bar, or step through them with the arrow keys.")
            page.locator(".plot").focus()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            second = "Mon 2 Nov: " if not place else "01:00 to 02:00: "
            expect(readout).to_contain_text(f"{second}Billable ")
            page.keyboard.press("End")
            page.keyboard.press("ArrowRight")  # there is none behind it
            last = "Mon 30 Nov: " if not place else "23:00 to 24:00: "
            expect(readout).to_contain_text(last)
            expect(page.locator(".slot.at")).to_have_count(1)
            page.keyboard.press("Tab")  # out of it, like any other
            expect(page.locator(".slot.at")).to_have_count(0)
            page.locator(".slot .hit").nth(3).hover(force=True)
            expect(readout).to_contain_text("Wed 4 Nov: " if not place else "03:00 to 04:00: ")
    phone = browser.new_context(viewport={"width": 400, "height": 850}, has_touch=True, is_mobile=True)
    page = phone.new_page()
    page.goto(service.url())
    page.locator(".slot .hit").nth(4).tap(force=True)
    expect(page.locator(".readout")).to_contain_text("Thu 5 Nov: Billable 290")
    # Nothing but the file of ours runs.
    page.evaluate(
        "() => { const one = document.createElement('script'); one.textContent = 'window.ran = true';"
        " document.head.append(one); }"
    )
    assert page.evaluate("window.ran") is None
    phone.close()


def test_of_two_pictures_of_a_contract_one_is_seen(service: Service, browser: Browser) -> None:
    for size, width in ((DESK, 760), (PHONE, 360)):
        with visiting(browser, size) as page:
            page.goto(service.url(account="globex"))
            seen = page.locator("svg.chart:visible")
            expect(seen).to_have_count(1)
            assert (seen.get_attribute("viewBox") or "").split()[2] == str(width)
            expect(page.get_by_role("heading", name="Committed runs")).to_be_visible()
