"""A month is closed in the console: looked at, drafted, approved in part and then whole, reconciled; what
failed at Stripe is retried."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
import stripe

from billing.accounts import update_account
from billing.audit_tables import audit_entries
from billing.completeness import account_watermark
from billing.console.work import DEAD_AFTER_US, MOST_ROWS, Work
from billing.credits import add_credit
from billing.errors import Refused
from billing.invoices import list_invoices
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, StripeSandbox
from billing.repository import operator_jobs
from billing.repository.operator_jobs import Job
from billing.sources import add_source, server_of
from metering.database import reading, writing
from metering.period import HOUR_US, SECOND_US
from tests.billing.api.client import Client, running
from tests.billing.console.conftest import Operator, text_of
from tests.events import event, runs
from tests.faults.in_process import Wire
from tests.world import NOVEMBER_2, OCTOBER, World

MONTH = "months/2026-10"


@pytest.fixture
def client(engine: sa.Engine) -> Iterator[Client]:
    """On each engine: three accounts, of which one has no e-mail address, and a stranger, at the sandbox.
    It is the first of November: the month is over, and its grace period is not."""
    stripe.enable_telemetry = False
    instants = {"now": NOVEMBER_2}
    sandbox = StripeSandbox(
        clock=lambda: instants["now"] // SECOND_US, seed="console", missing_email="refused"
    )
    world = World(engine, gateway=StripeGateway(TEST_KEY, wire=Wire(sandbox)))
    for account in ("acme", "big", "small"):
        email = "" if account == "small" else f"billing@{account}.example"
        world.account(account, since="2026-09", email=email)
    world.send(
        runs(11_000, day="2026-09-03", prefix="s"),
        runs(12_000, account="big", day="2026-09-03", prefix="s"),
        runs(10_500),
        runs(30_000, account="big"),
        runs(10_200, account="small"),
        runs(7, account="stranger"),
        [event("failed", account="acme", state="FAILED", end="2026-10-03T12:00:05Z")],
    )
    world.service.run_month(OCTOBER.previous(), send=False)
    world.instant = NOVEMBER_2 - 12 * HOUR_US
    with running(world) as client:
        yield client


def rows(page: str) -> list[str]:
    """The accounts of the drafts, in the order of the page."""
    return re.findall(r'name="draft"[^>]*aria-label="([^"]+)"', page)


def test_a_month_is_closed(client: Client) -> None:
    world, ada = client.world, Operator(client, "finance")
    page = text_of(ada.get(MONTH))
    assert "in its grace period" in page and "There are none yet." in page and "Bill October" not in page

    done = text_of(ada.do(f"{MONTH}/checks"))
    assert "There is something to look at." in done
    page = text_of(ada.get(MONTH))
    assert "1 account with task runs that billing does not know" in page and "stranger : 7 billable" in page

    assert "3 drafted" in text_of(ada.do(f"{MONTH}/runs", ("early", "yes")))
    page = ada.get(MONTH)
    assert rows(page) == ["big", "acme", "small"]  # +45.00, −1.25, +0.50
    assert "+45.00 USD" in page and "−1.25 USD" in page and "+0.50 USD" in page and "no invoice" in page
    (big, acme, small) = re.findall(r'name="draft" value="([^"]+)"', page)
    assert "can be billed from" in text_of(ada.do(f"{MONTH}/approvals", ("which", "all")))

    world.instant = NOVEMBER_2 + HOUR_US
    ada.get(status=403)  # it is tomorrow
    ada = Operator(client, "finance")
    assert ada.post(f"{MONTH}/approvals", ("which", "ticked")).status_code == 422
    done = text_of(ada.do(f"{MONTH}/approvals", ("which", "ticked"), ("draft", acme)))
    assert "1 approved, 0 failed" in done
    assert rows(ada.get(MONTH)) == ["big", "small"]
    done = text_of(ada.do(f"{MONTH}/approvals", ("which", "all")))
    assert "2 approved" in done and "small" in done  # Stripe wants an address
    found = {each.account: each for each in list_invoices(world.engine, month=OCTOBER)}
    assert {name: each.approved_by for name, each in found.items()} == dict.fromkeys(found, "operator ada")
    assert found["big"].status == "open" and found["small"].status == "finalized"

    page = ada.get(MONTH)
    undone = text_of(page[page.index('id="stripe"') : page.index('id="reconcile"')])
    assert "2026-10-000003" in undone and "small" in undone
    assert "e-mail" in undone and "Retry" in undone and "big" not in undone
    done = text_of(ada.do(f"{MONTH}/reconciliations"))
    assert "differences" in done
    page = text_of(ada.get(MONTH))
    assert "missing in Stripe" in page and "unassigned account" in page

    update_account(world.engine, "small", email="billing@small.example", now=world.instant)
    assert "1 sent" in text_of(ada.do(f"{MONTH}/runs", ("account", "small")))
    page = ada.get(MONTH)
    assert "Nothing that was tried is left." in text_of(page)
    assert {each.status for each in list_invoices(world.engine, month=OCTOBER)} == {"open"}
    assert small and big


def test_drafts_that_changed_are_told_by_account(client: Client) -> None:
    world, ada = client.world, Operator(client, "finance")
    ada.do(f"{MONTH}/runs", ("early", "yes"))
    world.instant = NOVEMBER_2
    ada = Operator(client, "finance")
    add_credit(world.engine, "acme", "1.00", "slow answers", by="operator", now=world.instant)
    done = text_of(ada.do(f"{MONTH}/approvals", ("which", "all")))
    assert "2 approved, 2 failed" in done
    assert "has changed since it was drafted" in done
    assert [each.account for each in list_invoices(world.engine, month=OCTOBER, status="draft")] == ["acme"]


def test_a_source_that_is_not_complete_is_named(client: Client) -> None:
    world, ada = client.world, Operator(client, "finance")
    server = server_of("http://127.0.0.1:4200/api")
    add_source(world.engine, "acme", "prefect", server, since=OCTOBER.start, now=world.instant)
    assert account_watermark(world.engine, "acme")
    ada.do(f"{MONTH}/checks")
    assert "1 source not complete to the month's end" in text_of(ada.get(MONTH))
    world.instant = NOVEMBER_2
    ada = Operator(client, "finance")
    assert "1 drafted" in text_of(ada.do(f"{MONTH}/runs"))
    page = text_of(ada.get(MONTH))
    assert "Left as drafts, for a source is not complete: acme ." in page
    assert "1 finalized" in text_of(ada.do(f"{MONTH}/runs", ("bill_incomplete", "yes")))


@pytest.mark.parametrize("month", ["2026-13", "x", "%3Cb%3E", "2026-10-01", "1e3"])
def test_what_is_no_month_is_not_found(client: Client, month: str) -> None:
    Operator(client).get(f"months/{month}", status=404)
    assert Operator(client).post(f"months/{month}/runs").status_code == 404


def test_the_month_that_is_over_comes_first(client: Client) -> None:
    answer = Operator(client, "viewer").ask("GET", "months")
    assert answer.headers["location"] == "./months/2026-10"


def test_a_viewer_sees_no_button(client: Client) -> None:
    Operator(client, "finance").do(f"{MONTH}/runs", ("early", "yes"))
    page = Operator(client, "viewer").get(MONTH)
    assert "big" in page
    assert re.findall(r"<button[^>]*>([^<]*)", page) == ["Sign out"]


def test_the_same_is_done_once_at_a_time(client: Client) -> None:
    """A second click leads to what is under way; what died without a word is begun anew."""
    world = client.world
    work = Work(world.service)
    goes_on = threading.Event()

    def wait(stages: object) -> dict[str, object]:
        assert goes_on.wait(30)
        return {"many": list(range(1000))}

    first = work.start("check", "2026-10", "operator ada", wait)
    assert work.start("check", "2026-10", "operator bob", wait).id == first.id
    other = work.start("check", "2026-09", "operator bob", wait)
    assert other.id != first.id
    page = text_of(Operator(client, "viewer").get(MONTH))
    assert "Check of the month is under way" in page
    answer = Operator(client, "viewer").ask("GET", f"jobs/{first.id}")
    assert answer.headers["refresh"] == "2"
    still = Operator(client, "viewer").ask("GET", f"jobs/{first.id}?still=yes")
    assert "refresh" not in still.headers
    goes_on.set()
    work.close()
    done = work.get(first.id)
    assert done is not None and done.report is not None and done.error is None
    kept = json.loads(done.report)
    assert len(kept["many"]) == MOST_ROWS and kept["counts"] == {"many": 1000}

    dead = Job("job_dead", "check", "2026-08", "operator eve", world.instant, world.instant)
    with writing(world.engine) as connection:
        operator_jobs.start(connection, dead, 0)
    world.instant += DEAD_AFTER_US + 1
    seen = work.get("job_dead")
    assert seen is not None and seen.error == operator_jobs.CUT_SHORT
    again = work.start("check", "2026-08", "operator ada", wait)
    work.close()
    assert again.id != "job_dead"
    with reading(world.engine) as connection:
        held = operator_jobs.get(connection, "job_dead")
    assert held is not None and held.error == operator_jobs.CUT_SHORT


def test_what_goes_wrong_behind_a_page_is_said_on_it(client: Client) -> None:
    work = Work(client.world.service)

    def refuse(_stages: object) -> dict[str, object]:
        raise Refused("it cannot be done today")

    def fail(_stages: object) -> dict[str, object]:
        raise RuntimeError("secret")

    viewer = Operator(client, "viewer")
    for do, says in ((refuse, "It cannot be done today."), (fail, "Unexpected RuntimeError")):
        job = work.start("check", "2026-07", "operator ada", do)
        work.close()
        page = text_of(viewer.get(f"jobs/{job.id}"))
        assert says in page and "secret" not in page


def test_the_same_is_told_over_http(client: Client) -> None:
    world, ada = client.world, Operator(client, "finance")
    check = client.get("/v1/months/2026-10/check").json()
    assert check["unassigned"] == [{"account": "stranger", "billable": 7}] and check["ok"] is False
    assert client.get("/v1/months/2026-13/check").status_code == 422
    ada.do(f"{MONTH}/runs", ("early", "yes"))
    found = client.get("/v1/months/2026-10/drafts?limit=2").json()
    assert [(each["account"], each["change"]) for each in found] == [("big", 4500), ("acme", -125)]
    assert client.get("/v1/months/2026-10/drafts?offset=2").json()[0]["account"] == "small"
    world.instant = NOVEMBER_2
    Operator(client, "finance").do(f"{MONTH}/approvals", ("which", "all"))
    (left,) = client.get("/v1/months/2026-10/unsent").json()
    assert (left["account"], left["status"]) == ("small", "failed") and "e-mail" in left["error"]
    for place in ("", "?search=ig", "accounts/big", "contracts", "payments", "notifications", "disputes"):
        Operator(client, "viewer").get(place)
    (first, *_) = client.get("/v1/account-figures?month=2026-10&limit=1").json()
    assert (first["account"], first["billable"], first["amount"]) == ("acme", 10_500, 125)
    answer = client.get("/v1/account-figures?search=sma")
    assert [each["account"] for each in answer.json()] == ["small"] and "link" not in answer.headers
    assert [each["id"] for each in client.get("/v1/accounts?search=BIG").json()] == ["big"]
    assert client.get("/v1/contract-figures").json() == []


def test_the_trail_says_who_did_it(client: Client) -> None:
    """On the page, and behind it."""
    world = client.world
    Operator(client, "finance").do(f"{MONTH}/runs", ("early", "yes"))
    world.instant = NOVEMBER_2
    ada = Operator(client, "admin")
    ada.do(f"{MONTH}/approvals", ("which", "all"))
    ada.post("access/keys", ("scope", "read"), ("account", ""))
    ada.post("accounts/acme/links", ("hours", "1"))
    ada.post(f"access/sessions/{ada.session.id}/end")
    with reading(world.engine) as connection:
        rows = connection.execute(sa.select(audit_entries)).all()
    said = {(row.deed, row.author): row.request for row in rows}
    for deed in (
        "billing_run.started",
        "invoice.issued",
        "key.created",
        "link.made",
        "operator.session_ended",
    ):
        assert said[deed, "operator ada"] is not None, said.keys()
    assert ("operator.signed_in", "operator ada") in said
    told = str(rows)
    assert ada.secret not in told and hashlib.sha256(ada.secret.encode()).hexdigest() not in told
