"""Names that nobody would choose, and figures that few have: nothing runs, breaks out of its place, or is cut
where it cannot be read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from pypdf import PdfReader

from billing.accounts import add_account
from billing.invoices import list_invoices
from billing.links import create_link
from metering.period import Month, parse_instant
from metering.store.tables import accounts, usage_days, usage_hours, usage_months
from tests.browser.conftest import serving
from tests.browser.test_customer import DESK, PHONE, visiting
from tests.conftest import NewDatabase
from tests.events import event
from tests.world import NOVEMBER_2, OCTOBER, World

NAMES = (
    "=cmd()|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "<script>document.title='run'</script>", "אבג العربية",
    "\u202egnorw", "'quoted\"", "a b&c=d#e?f/g", "100%", "w" * 200, " lead ",
)  # fmt: skip
ACCOUNT = "long-" + "a" * 59
NAME = ("=1+1 <img src=x onerror=alert(1)> אבג " + "N" * 200)[:200]


class Service:
    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.address = address
        (invoice,) = list_invoices(world.engine, account=ACCOUNT, month=OCTOBER)
        self.number = invoice.number

    def url(self, place: str = "") -> str:
        link = create_link(self.world.engine, ACCOUNT, now=self.world.instant, hours=24)
        return link.url(self.address) + place


@pytest.fixture(scope="module")
def service(sqlite_databases: NewDatabase) -> Iterator[Service]:
    """One account whose names are all odd; of this month's runs there are a thousand million."""
    world = World(sqlite_databases())
    month = Month.parse("2026-10")
    add_account(
        world.engine, ACCOUNT, now=NOVEMBER_2, currency="USD", plan="starter", billing_from=month, name=NAME
    )
    for start in ("2026-10", "2026-11"):
        world.send(
            [
                event(
                    f"{start}-{number:03d}",
                    account=ACCOUNT,
                    end=f"{start}-{1 + number % 9:02d}T12:00:05Z",
                    flow=NAMES[number % len(NAMES)],
                    workspace=NAMES[(number + 5) % len(NAMES)],
                )
                for number in range(100)
            ]
        )
    world.service.run_month(OCTOBER)
    with world.engine.begin() as connection:
        account_id = connection.scalar(sa.select(accounts.c.id).where(accounts.c.account == ACCOUNT))
        for table in (usage_hours, usage_days, usage_months):
            mine = table.update().where(table.c.account_id == account_id)
            connection.execute(mine.values(quantity=table.c.quantity * 12_345_678))
    world.instant = parse_instant("2026-11-18T14:25:00Z")
    with serving(world) as address:
        yield Service(world, address)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_holds(service: Service, browser: Browser, size: tuple[int, int]) -> None:
    places = (
        "", "usage", "usage?day=2026-11-03", "usage?year=2026", "runs?outcome=any", "runs?month=2026-10",
        "explain", f"invoices/{service.number}", f"invoices/{service.number}/explain",
    )  # fmt: skip
    with visiting(browser, size) as page:
        page.on("dialog", lambda dialog: pytest.fail(f"{dialog.message} was run"))
        for place in places:
            page.goto(service.url(place))
            assert page.title() != "run" and page.locator("main script, main img, footer img").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_thousand_million_is_one_number(service: Service, browser: Browser, size: tuple[int, int]) -> None:
    """No figure is broken inside its digits."""
    with visiting(browser, size) as page:
        for place in ("", "usage"):
            page.goto(service.url(place))
            figure = page.locator(".figures div", has_text="Billable runs").locator("dd").first
            expect(figure).to_have_text("1,234,567,800")
            high, line = figure.evaluate(
                "each => [each.getBoundingClientRect().height, parseFloat(getComputedStyle(each).lineHeight)]"
            )
            assert high < 1.5 * line


def test_a_flow_of_any_name_leads_to_its_runs(service: Service, browser: Browser) -> None:
    with visiting(browser, scripts=False) as page:
        for name in NAMES:
            page.goto(service.url(f"invoices/{service.number}/explain"))
            link = page.locator("#flows + p + table a", has_text=name.strip()).first
            if not link.count():
                continue  # not among the first
            link.click()
            rows = page.locator("form tbody tr")
            expect(rows.first, name).to_be_visible()  # a click does not wait for the page it leads to
            for text in rows.locator("td[data-label=Flow]").all_text_contents():
                assert text == name


def test_no_file_has_a_formula(service: Service, browser: Browser, tmp_path: Path) -> None:
    with visiting(browser) as page:
        for of in ("workspace", "flow"):
            page.goto(service.url("usage"))
            with page.expect_download() as download:
                page.locator(f"#by-{of} ~ p a[download]").click()
            rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text())))
            cells = [cell for row in rows for cell in row]
            assert len(rows) > len(NAMES) and not [each for each in cells if each[:1] in "=+-@\t" and each]
        page.goto(service.url(f"invoices/{service.number}"))
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the PDF").click()
        text = "".join(each.extract_text() for each in PdfReader(download.value.path()).pages)
        assert "onerror=alert(1)" in text.replace("\n", "") and service.number in text
