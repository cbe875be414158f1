"""What the pages of the console say, and what their forms do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from billing.access import list_keys
from billing.account_figures import account_figures
from billing.accounts import list_accounts, update_account
from billing.alerts.checking import check_alerts
from billing.audit.reading import list_entries
from billing.console.visit import csrf_of
from billing.contract_figures import contract_figures
from billing.contract_invoices import report_contract
from billing.contracts import load_contract_text
from billing.disputes import list_disputes, raise_dispute
from billing.grandfathering import protect, protections_ending
from billing.invoices import preview
from billing.links import open_link
from billing.notifications.endpoints import add_endpoint, list_endpoints, update_endpoint
from billing.notifications.log import list_deliveries
from billing.notifications.setting_up import sender_of
from billing.operators import list_sessions, open_session, session_of
from billing.plans import list_plans
from billing.repository import notifications
from billing.repository.audit import Wanted
from metering.outcome import Outcome
from metering.period import DAY_US, Month
from tests.billing.alerts.receiver import receiving
from tests.billing.api.client import Client, running
from tests.billing.console.conftest import FORM, Operator, text_of
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.world import OCTOBER, World

ROOT = Path(__file__).parents[3]
NOVEMBER = OCTOBER.next()


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    for account in ("acme", "globex", "later", *(f"team-{number:02d}" for number in range(30))):
        world.account(account, since="2027-01" if account == "later" else "2026-07")
    update_account(world.engine, "acme", name="Ácme & Söhne <GmbH>", now=world.instant)
    world.send(
        runs(12_000),
        runs(11_000, day="2026-11-01", prefix="n"),
        runs(4, account="later", day="2026-11-01"),
        runs(300, account="globex", day="2026-09-20", prefix="s"),
        runs(200, account="globex", day="2026-10-20", prefix="o"),
        [event("bad", state="FAILED", end="2026-11-01T00:00:09Z")],
    )
    text = (ROOT / "examples" / "contract.json").read_text()
    load_contract_text(world.engine, text, "contract.json", by="operator", now=world.instant)
    world.service.run_month(OCTOBER)
    with running(world) as client:
        yield client


def test_accounts_are_found_a_page_at_a_time(client: Client) -> None:
    viewer = Operator(client, "viewer")
    seen: list[str] = []
    place = ""
    for _ in range(3):
        page = viewer.get(place)
        seen += re.findall(r'<a href="\./accounts/([^"]+)"', page)
        more = re.search(r'rel="next" href="\./([^"]+)"', page)
        if more is None:
            break
        place = more[1].replace("&amp;", "&")
    assert seen == sorted(each.id for each in list_accounts(client.world.engine)) and len(seen) == 33
    for search, found in (("TEAM-0", 10), ("söhne", 1), ("gmbh", 1), ("100%", 0), ("_", 0), ("<b>", 0)):
        page = viewer.get("?" + httpx_query(search))
        assert len(re.findall(r'<a href="\./accounts/', page)) == found, search
        assert "<b>" not in page and "<GmbH>" not in page


def httpx_query(search: str) -> str:
    from urllib.parse import urlencode

    return urlencode({"search": search})


def test_the_figures_of_many_accounts_are_those_of_each(client: Client) -> None:
    """As the invoice to come has them, where nothing but the month's usage has a say."""
    world = client.world
    every = list_accounts(world.engine)
    for month in (OCTOBER, NOVEMBER):
        for each in account_figures(world.engine, world.store, every, month):
            used = world.store.usage(each.account.id, month.start, month.end, by="month").counts
            assert (each.billable, each.not_billed) == (used.billable, sum(used.not_billed.values()))
            assert [one for one, _ in each.trend][-1] == month and each.trend[-1][1] == used.billable
            if each.account.id == "later":
                assert each.amount is None
            else:
                assert each.amount == preview(world.engine, world.store, each.account.id, month)["total"]
    page = text_of(Operator(client, "viewer").get())
    assert "11,000 1 2.50 USD" in page and "not billed" in page


@pytest.mark.parametrize("account", ["acme", "globex", "later", "team-00"])
def test_an_account_has_its_page(client: Client, account: str) -> None:
    page = Operator(client, "viewer").get(f"accounts/{account}")
    assert "Make a link" not in page
    assert ("globex-2026" in page) == (account == "globex")
    assert ("2026-10-000001" in page) == (account == "acme")


def test_an_admin_makes_a_link_for_a_customer(client: Client) -> None:
    admin = Operator(client)
    answer = admin.post("accounts/acme/links", ("hours", "2"))
    (token,) = re.findall(r"/c/([^/]+)/</code>", answer.text)
    assert open_link(client.world.engine, token, client.world.instant).account == "acme"
    for hours in ("0", "745", "x", "", "-1", "²", "9" * 50):
        answer = admin.post("accounts/acme/links", ("hours", hours))
        assert answer.status_code == 422 and "1 to 744" in answer.text
    assert admin.post("accounts/nobody/links", ("hours", "2")).status_code == 404


def test_contracts_stand_as_their_reports_say(client: Client) -> None:
    world = client.world
    for days in (0, 20, 100, 180):
        (found,) = contract_figures(world.service, now=world.instant + days * DAY_US)
        report, _ = report_contract(world.engine, world.store, "globex-2026", found.as_of)
        assert (found.committed, found.left) == (report.committed, report.remaining)
        assert found.per_day == format(report.pace.per_day, "f")
        assert found.runs_out_on == report.runs_out_on
    assert contract_figures(world.service, now=world.instant + 400 * DAY_US) == []  # over
    page = text_of(Operator(client, "viewer").get("contracts"))
    assert "globex-2026" in page and "as_of" not in page


def test_protections_near_their_end_are_listed(client: Client) -> None:
    world = client.world
    protect(world.engine, "team-03", "10.00", date(2026, 12, 20), now=world.instant, by="operator")
    protect(world.engine, "team-04", "10.00", date(2027, 12, 20), now=world.instant, by="operator")
    assert [each["account"] for each in protections_ending(world.engine, world.instant)] == ["team-03"]
    page = text_of(Operator(client, "viewer").get("contracts"))
    assert "team-03 10.00 USD a month 2026-12-20 48 days" in page and "team-04" not in page


def test_a_dispute_is_answered(client: Client) -> None:
    world = client.world
    ids = [f"n-{number:07d}" for number in range(3)]
    for _ in range(2):
        raise_dispute(
            world.engine, world.store, "acme", ids, "A <load> test.", raised_by="Ada", by="page",
            now=world.instant, request="once",
        )  # fmt: skip
    (dispute,) = list_disputes(world.engine)
    finance = Operator(client, "finance")
    assert dispute.id in finance.get("disputes")
    place = f"disputes/{dispute.id}"
    assert "A &lt;load&gt; test." in finance.get(place)
    assert "Decline" not in Operator(client, "viewer").get(place)
    for pairs, says in (
        ([("reply", "x")], "reverse the task runs or to decline"),
        ([("reply", "x"), ("decision", "reverse")], "no task run is ticked"),
        ([("reply", ""), ("decision", "decline")], "say to the customer"),
        ([("reply", "x"), ("decision", "reverse"), ("run", "other")], "other"),
    ):
        answer = finance.post(f"{place}/answer", *pairs)
        assert answer.status_code == 422 and says in text_of(answer.text).lower(), pairs
    answered = [("reply", "Two of them."), ("decision", "reverse"), ("run", ids[0]), ("run", ids[2])]
    assert finance.post(f"{place}/answer", *answered).status_code == 303
    page = text_of(finance.get(place))
    assert "operator ada answered" in page and "2 runs of 3 reversed" in page and "Decline" not in page
    found = world.store.find("acme", ids, world.store.cutoff().position)
    assert [found[each].outcome is Outcome.REVERSED for each in ids] == [True, False, True]
    again = finance.post(f"{place}/answer", ("reply", "No."), ("decision", "decline"))
    assert again.status_code == 409
    assert "None waits for an answer." in finance.get("disputes")
    assert dispute.id in finance.get("disputes?status=all")
    finance.get("disputes?status=nothing", status=422)
    finance.get("disputes/dsp_0", status=404)


def test_a_webhook_is_sent_again(client: Client) -> None:
    world, finance = client.world, Operator(client, "finance")
    world.service.settings.webhook_private = "on"
    try:
        with receiving() as receiver:
            receiver.status = 410
            add_endpoint(world.engine, receiver.url, private=True, by="operator", now=world.instant)
            check_alerts(world.engine, world.store, world.instant, grace_hours=24)
            sender_of(world.service).send_due()
            failed = list_deliveries(world.engine, notifications.Wanted(status="failed"))
            assert failed
            page = finance.get("notifications")
            assert failed[-1].id in page and "disabled" in page and "free task runs" in page
            assert "free task runs" in finance.get("alerts")
            answer = finance.post(f"deliveries/{failed[0].id}/resend")
            assert answer.status_code == 409 and "billing webhooks enable" in answer.text
            (endpoint,) = list_endpoints(world.engine)
            update_endpoint(world.engine, endpoint.id, status="enabled", private=True, now=world.instant)
            receiver.status = 204
            before = len(receiver.got)
            assert finance.post(f"deliveries/{failed[0].id}/resend").status_code == 303
            assert "delivered" in finance.get(f"deliveries/{failed[0].id}")
            assert receiver.ids[before:] == [failed[0].event]
            assert "Done" in finance.do(f"endpoints/{endpoint.id}/resend")
            assert list_deliveries(world.engine, notifications.Wanted(endpoint.id, status="failed")) == []
            log = finance.get(f"deliveries?endpoint={endpoint.id}&status=delivered")
            assert log.index(failed[-1].id) < log.index(failed[0].id)  # the newest first
            finance.get("deliveries?status=nothing", status=422)
            finance.get("deliveries?endpoint=whe_0", status=404)
    finally:
        world.service.settings.webhook_private = "off"


def test_keys_are_made_shown_once_and_revoked(client: Client) -> None:
    admin = Operator(client)
    made = admin.post("access/keys", ("scope", "read"), ("account", "acme")).text
    (secret,) = re.findall(r"<code>(bk_read_[^<]+)</code>", made)
    assert client.get("/v1/accounts/acme", key=secret).status_code == 200
    page = admin.get("access")
    assert secret not in page
    (key,) = [key for key in list_keys(client.world.engine) if key.account == "acme"]
    assert admin.post(f"access/keys/{key.id}/revoke").status_code == 303
    assert client.get("/v1/accounts/acme", key=secret).status_code == 401  # at once
    assert key.id not in admin.get("access")
    wrong = admin.post("access/keys", ("scope", "admin"), ("account", "acme"))
    assert wrong.status_code == 422 and "cannot be bound" in wrong.text
    assert admin.post("access/keys", ("scope", "root")).status_code == 422


def test_operators_are_let_in_and_out(client: Client) -> None:
    world, admin = client.world, Operator(client)
    made = admin.post("access/links", ("name", "kim"), ("role", "viewer")).text
    (secret,) = re.findall(r"sign-in\?link=([^<]+)</code>", made)
    session, opened = open_session(world.engine, secret, world.instant)
    assert (session.name, session.role, session.author) == ("kim", "viewer", "operator ada")
    assert session.id in admin.get("access")
    assert admin.post(f"access/sessions/{session.id}/end").status_code == 303
    assert session_of(world.engine, opened, world.instant) is None
    wrong = admin.post("access/links", ("name", "<b>"), ("role", "viewer"))
    assert wrong.status_code == 422 and "<b>" not in wrong.text
    left = {each.name for each in list_sessions(world.engine, world.instant)}
    assert "ada" in left and "kim" not in left


PLAN = """plan: starter
version: 2027-01
effective_from: 2027-01-01
currency: USD
brackets:
  - {up_to: 10000, unit_price: "0"}
  - {up_to: null, unit_price: "0.005"}
"""


def test_a_draft_plan_is_previewed_on_last_months_usage(client: Client) -> None:
    admin = Operator(client)
    held = len(list_plans(client.world.engine))
    done = text_of(admin.do("catalogue/preview", ("text", PLAN.replace("\n", "\r\n")), ("instead_of", "")))
    assert "Done" in done
    page = text_of(admin.get("catalogue/preview"))
    assert "starter@2027-01, on the usage of 2026-10" in page
    assert "acme starter@2021-02 5.00 USD 10.00 USD +5.00 USD +100 %" in page
    assert "Pay more 1 of" in page and "Together, USD +5.00 USD" in page
    assert len(list_plans(client.world.engine)) == held  # nothing was loaded
    over_http = client.post(
        "/v1/plans/previews", headers={"Content-Type": "application/yaml"}, content=PLAN
    ).json()
    assert over_http["pay_more"] == 1 and over_http["accounts"][0]["change"] == 500
    assert over_http["totals"] == [{"currency": "USD", "now": 500, "then": 1000}]


def test_a_draft_plan_that_cannot_be_read_is_mended_on_the_form(client: Client) -> None:
    admin = Operator(client)
    for text, says in (
        ("", "paste a plan"),
        ("plan: starter", "version"),
        (PLAN.replace("0.005", "-1"), "starter@2027-01"),
        ("{" * 500, ""),
    ):
        answer = admin.post("catalogue/preview", ("text", text))
        assert answer.status_code == 422 and says in answer.text.lower().replace("paste", "paste"), text[:20]
    taken = PLAN.replace("2027-01\n", "2021-02\n", 1)
    assert "loaded already, with other content" in text_of(admin.do("catalogue/preview", ("text", taken)))
    unknown = text_of(admin.do("catalogue/preview", ("text", PLAN.replace("starter", "gold"))))
    assert "name the plan whose accounts to compare" in unknown


def test_a_plan_may_come_as_a_file(client: Client) -> None:
    admin = Operator(client)
    files = {"file": ("draft.yaml", PLAN.replace("0.005", "0.010").encode())}
    data = {"csrf": csrf_of(admin.secret), "text": "ignored", "instead_of": ""}
    answer = admin.ask("POST", "catalogue/preview", files=files, data=data)
    assert answer.status_code == 303, answer.text
    client.app.state.console.work.close()
    assert "+15.00 USD" in admin.get("catalogue/preview")


BAD_PART = b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\xff\r\n--x--'


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"\xff\xfe", FORM["Content-Type"], 422),
        (b"&".join(b"a=%d" % number for number in range(1000)), FORM["Content-Type"], 422),
        # Of these nothing is read, so there is no sign of the session in them either.
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 422),
        (b"nonsense", "multipart/form-data", 422),
        (BAD_PART, "multipart/form-data; boundary=x", 422),
    ],
)
def test_a_form_that_cannot_be_read_does_nothing(client: Client, body: bytes, kind: str, status: int) -> None:
    before = list_keys(client.world.engine)
    answer = Operator(client).ask("POST", "access/keys", headers={"Content-Type": kind}, content=body)
    assert answer.status_code == status
    assert list_keys(client.world.engine) == before


def test_every_page_of_the_catalogue(client: Client) -> None:
    viewer = Operator(client, "viewer")
    page = viewer.get("catalogue")
    for version in list_plans(client.world.engine):
        assert f"catalogue/{version.id}" in page
        viewer.get(f"catalogue/{version.id}")
    viewer.get("catalogue/nothing@1", status=404)
    assert Month.of(client.world.instant) == NOVEMBER


def test_the_audit_trail_says_who_changed_what(client: Client) -> None:
    update_account(client.world.engine, "globex", email="pay@globex.example", now=client.world.instant)
    admin = Operator(client, "admin")
    (entry,) = list_entries(client.world.engine, Wanted(account="globex", deed="account.updated"))
    page = admin.get("audit?account=globex&deed=account&by=operator")
    assert f'href="./audit/{entry.number}"' in page.replace("../", "./")
    shown = text_of(admin.get(f"audit/{entry.number}"))
    assert "accounts/globex: email: nothing → pay@globex.example" in shown
    assert f"{entry.number}:{entry.seal}" in shown
    for _ in range(25):  # a link and a session each: more than a page holds
        Operator(client, "viewer")
    first = admin.get("audit")
    numbers = [int(each) for each in re.findall(r'audit/(\d+)"', first)]
    assert len(numbers) == 50 and numbers == sorted(numbers, reverse=True)
    more = re.search(r'rel="next" href="([^"]+)"', first)
    assert more is not None
    following = admin.get("audit" + more[1].replace("&amp;", "&"))
    assert int(re.findall(r'audit/(\d+)"', following)[0]) == numbers[-1] - 1
    for wrong in ("audit/0", "audit/x", f"audit/{'9' * 30}", "audit?before=x"):
        admin.get(wrong, status=404)
    assert "There are none." in admin.get("audit?account=nobody")
