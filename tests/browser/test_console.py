"""The operator's console in a real browser: signing in, closing a month, and what else an operator does,
without scripts; and that everybody can read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import stripe
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from billing.alerts.checking import check_alerts
from billing.audit.actor import acting
from billing.contracts import load_contract_text
from billing.disputes import raise_dispute
from billing.grandfathering import protect
from billing.invoices import list_invoices
from billing.notifications.endpoints import add_endpoint
from billing.notifications.log import list_deliveries
from billing.notifications.setting_up import sender_of
from billing.operators import make_link
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, StripeSandbox
from billing.proposals import perform
from billing.proposals.deeds import CREDIT
from metering.period import HOUR_US, SECOND_US
from tests.billing.alerts.receiver import Receiver, receiving
from tests.browser.conftest import serving
from tests.conftest import NewDatabase
from tests.events import runs
from tests.faults.in_process import Wire
from tests.world import NOVEMBER_2, OCTOBER, World

ROOT = Path(__file__).parents[2]
PHONE = (400, 850)
DESK = (1280, 900)


class Service:
    def __init__(self, world: World, address: str, receiver: Receiver) -> None:
        self.world = world
        self.address = address
        self.receiver = receiver

    def link(self, role: str = "admin") -> str:
        made = make_link(self.world.engine, "ada", role, by="operator", now=self.world.instant)
        return made.url(self.address)


@pytest.fixture(scope="module")
def service(sqlite_databases: NewDatabase) -> Iterator[Service]:
    """A month with three invoices to come, a contract, a protection, a dispute, and a webhook that failed."""
    stripe.enable_telemetry = False
    instant = {"now": NOVEMBER_2}
    sandbox = StripeSandbox(clock=lambda: instant["now"] // SECOND_US, seed="browser")
    engine = sqlite_databases()
    world = World(engine, gateway=StripeGateway(TEST_KEY, wire=Wire(sandbox)))
    for account in ("acme", "globex", "initech", *(f"team-{number:02d}" for number in range(40))):
        world.account(account, since="2026-09", email=f"billing@{account}.example")
    world.send(runs(20_000, prefix="a"), runs(12_000, account="initech", prefix="i"))
    world.send(runs(900, account="globex", prefix="g"), runs(5, account="stranger", prefix="s"))
    world.send(runs(11_000, day="2026-09-03", prefix="b"))
    world.service.run_month(OCTOBER.previous())
    text = (ROOT / "examples" / "contract.json").read_text().replace("2026-07", "2026-11")
    load_contract_text(engine, text, "contract.json", by="operator", now=NOVEMBER_2)
    protect(engine, "initech", "10.00", date(2026, 12, 20), now=NOVEMBER_2, by="operator")
    world.service.settings.webhook_private = "on"
    with receiving() as receiver:
        receiver.status = 500
        add_endpoint(engine, receiver.url, private=True, by="operator", now=NOVEMBER_2)
        raise_dispute(
            engine, world.store, "acme", [f"a-{number:07d}" for number in range(3)],
            "These were a load test of ours.", raised_by="Ada", by="customer's page", now=NOVEMBER_2,
        )  # fmt: skip
        world.service.settings.second_person_credit = Decimal(500)
        asked = {"account": "acme", "amount": "600.00", "reason": "the outage of 3 October"}
        with acting("operator grace"):
            perform(world.service, CREDIT, asked, by="operator grace")
        check_alerts(engine, world.store, NOVEMBER_2 - HOUR_US, grace_hours=24)
        sender_of(world.service).send_due()
        with serving(world) as address:
            yield Service(world, address, receiver)


@contextmanager
def visiting(
    browser: Browser,
    service: Service,
    role: str,
    size: tuple[int, int] = DESK,
    *,
    scripts: bool = True,
    scheme: str = "light",
) -> Iterator[Page]:
    """A page of an operator who has signed in. Nothing is asked of any other host, and nothing complained
    of."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    hosts: set[str] = set()
    complaints: list[str] = []
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(service.link(role))
    page.get_by_role("button", name="Sign in").click()
    yield page
    assert hosts <= {"127.0.0.1"}
    assert [each for each in complaints if "Failed to load resource" not in each] == []
    context.close()


def wait_for(page: Page) -> None:
    """Until the work behind the page is done; the page asks again by itself."""
    expect(page.get_by_text(re.compile("^Done, "))).to_be_visible(timeout=60_000)


def test_an_operator_signs_in_and_out(service: Service, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    answer = page.goto(f"{service.address}/console")
    assert answer is not None and answer.status == 403
    expect(page.get_by_text("You are not signed in")).to_be_visible()
    link = service.link("viewer")
    for _ in range(2):  # to look at it uses nothing up
        page.goto(link)
        expect(page.get_by_text("signs in ada with the role viewer")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Accounts")
    (cookie,) = context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/console"
    page.goto(f"{service.address}/console/months/2026-10")
    expect(page.get_by_role("button")).to_have_count(1)  # to sign out
    answer = page.goto(f"{service.address}/console/access")
    assert answer is not None and answer.status == 403
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    assert context.cookies() == []
    page.goto(f"{service.address}/console/")
    expect(page.get_by_text("You are not signed in")).to_be_visible()
    page.goto(link)
    expect(page.get_by_text("This link was used already")).to_be_visible()
    context.close()


def test_a_month_is_closed_without_scripts(service: Service, browser: Browser) -> None:
    with visiting(browser, service, "finance", scripts=False) as page:
        page.get_by_label("Id or name contains").fill("INIT")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("row")).to_have_count(1 + 1)
        page.get_by_role("link", name="initech").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("initech")

        page.get_by_role("link", name="Months").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("October 2026")
        page.get_by_role("button", name="Check the month").click()
        wait_for(page)
        page.get_by_role("link", name="To the month").click()
        expect(page.get_by_text("stranger: 5 billable")).to_be_visible()

        page.get_by_role("button", name="Make drafts").click()
        wait_for(page)
        expect(page.get_by_text("3 drafted")).to_be_visible()
        page.get_by_role("link", name="To the month").click()
        first = page.locator("#drafts ~ form tbody tr").first
        expect(first).to_contain_text("acme")
        expect(first).to_contain_text("+22.50 USD")
        page.get_by_role("checkbox", name="acme").check()
        page.get_by_role("button", name="Approve those that are ticked").click()
        wait_for(page)
        expect(page.get_by_text("1 approved, 0 failed")).to_be_visible()
        page.get_by_role("link", name="To the month").click()
        page.get_by_role("button", name="Approve all 2").click()
        wait_for(page)
        page.get_by_role("link", name="To the month").click()
        expect(page.get_by_text("Nothing that was tried is left.")).to_be_visible()
        page.get_by_role("button", name="Reconcile").click()
        wait_for(page)
        page.get_by_role("link", name="To the month").click()
        expect(page.get_by_role("cell", name="unassigned account", exact=True)).to_be_visible()
    held = list_invoices(service.world.engine, month=OCTOBER)
    assert sorted(each.account for each in held if each.approved_by == "operator ada") == [
        "acme", "globex", "initech",
    ]  # fmt: skip


def test_a_webhook_is_sent_again_and_a_dispute_answered(service: Service, browser: Browser) -> None:
    with visiting(browser, service, "finance", scripts=False) as page:
        page.get_by_role("link", name="Notifications").click()
        page.get_by_role("link", name="The whole log").click()
        page.get_by_role("row").nth(1).get_by_role("link").click()
        service.receiver.status = 204
        page.get_by_role("button", name="Send again").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("delivered")
        assert [each for each in list_deliveries(service.world.engine) if each.status == "delivered"]
        service.receiver.status = 500

        page.get_by_role("link", name="Disputes").click()
        page.get_by_role("row").nth(1).get_by_role("link").first.click()
        expect(page.get_by_text("These were a load test of ours.")).to_be_visible()
        page.get_by_role("checkbox", name="a-0000001").uncheck()
        page.get_by_label("Reply").fill("Right, but for one that ran.")
        page.get_by_role("button", name="Reverse those that are ticked").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Partly corrected")
        expect(page.get_by_text("operator ada answered")).to_be_visible()


def test_an_admin_makes_a_key_and_previews_a_plan(service: Service, browser: Browser) -> None:
    with visiting(browser, service, "admin", scripts=False) as page:
        page.get_by_role("link", name="Access").click()
        page.get_by_label("Scope").select_option("read")
        page.get_by_label("Account empty: all").fill("acme")
        page.get_by_role("button", name="Make a key").click()
        expect(page.get_by_text("bk_read_").first).to_be_visible()
        expect(page.get_by_text("it is not shown again")).to_be_visible()
        page.get_by_role("link", name="Access").click()
        expect(page.get_by_text("it is not shown again")).to_have_count(0)
        page.get_by_role("button", name=re.compile("^Revoke")).first.click()

        page.get_by_role("link", name="Catalogue").click()
        page.get_by_role("link", name="Preview a draft plan").click()
        page.get_by_role("button", name="Preview").click()
        wait_for(page)
        page.get_by_role("link", name="To the preview").click()
        expect(page.get_by_text("starter@2027-01, on the usage of 2026-10")).to_be_visible()

        page.goto(f"{service.address}/console/accounts/acme")
        page.get_by_role("button", name="Make a link").click()
        link = page.locator(".done code").inner_text()
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_contain_text("November 2026")


def test_a_credit_is_approved_by_another(service: Service, browser: Browser) -> None:
    with visiting(browser, service, "finance", scripts=False) as page:
        page.goto(f"{service.address}/console/proposals")
        page.get_by_role("link", name="Credit account acme with 600.00 USD").click()
        expect(page.get_by_text("the outage of 3 October").first).to_be_visible()
        page.get_by_label("Why it is refused").fill("twice too much")
        page.get_by_role("button", name="Approve, and do it").click()
        expect(page.get_by_role("heading", name="operator ada approved it")).to_be_visible()
        page.goto(f"{service.address}/console/proposals")
        expect(page.get_by_text("Nothing waits for anybody.")).to_be_visible()


PLACES = (
    "", "?search=nobody", "accounts/acme", "accounts/globex", "months/2026-10", "months/2026-11",
    "months/2026-10/invoices", "contracts", "payments", "disputes?status=all", "notifications", "alerts",
    "deliveries", "access", "audit", "audit/1", "audit/20", "catalogue", "catalogue/starter@2021-02",
    "catalogue/preview", "nowhere", "proposals", "proposals?which=all",
)  # fmt: skip


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(
    service: Service, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    """Nothing that axe-core finds fault with, nothing wider than the screen, and light to load."""
    with visiting(browser, service, "admin", size, scheme=scheme) as page:
        weights: list[int] = []
        page.on("response", lambda answer: weights.append(int(answer.headers.get("content-length", 0))))

        def look() -> None:
            found = Axe().run(page)
            assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
            assert sum(weights) < 300_000
            weights.clear()

        def go(place: str) -> None:
            page.goto(f"{service.address}/console/{place}")
            look()

        for place in PLACES:
            go(place)
        (first, *_) = list_invoices(service.world.engine, account="acme")
        go(f"invoices/{first.id}")
        go("deliveries")
        page.get_by_role("row").nth(1).get_by_role("link").click()
        look()
        go("proposals?which=all")
        page.get_by_role("row").nth(1).get_by_role("link").click()
        look()
        go("disputes?status=all")
        page.get_by_role("row").nth(1).get_by_role("link").first.click()
        look()
        page.goto(f"{service.address}/console/access")
        page.get_by_label("Name").fill("<")
        page.get_by_role("button", name="Make a link to sign in").click()
        look()
        page.goto(f"{service.address}/console/months/2026-09")
        page.get_by_role("button", name=re.compile("Check")).click()
        wait_for(page)
        look()
        page.get_by_role("button", name="Sign out").click()
        look()
        page.goto(service.link())
        look()
