"""POST /v1/invoices/…: voids, credit notes and approvals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from billing.api.account_shapes import AccountAnswer
from billing.api.invoice_changes import ApprovalAnswer
from billing.api.shapes import CreditNoteAnswer, InvoiceAnswer
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox, StripeSandbox, running_sandbox
from metering.period import SECOND_US
from tests.billing.api.client import Client, assert_problem, running
from tests.billing.api.test_documents import assert_shape
from tests.billing.months import dollars
from tests.conftest import NewDatabase
from tests.events import runs
from tests.settled import stripe_client
from tests.world import NOVEMBER_2, OCTOBER, World

FIRST = "/v1/invoices/2026-10-000001"
NOTE = {"amount": "2.00", "kind": "goodwill", "reason": "outage"}


@pytest.fixture
def world(sqlite_databases: NewDatabase) -> World:
    world = dollars(sqlite_databases())
    world.send(runs(5))
    return world


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with running(world) as client:
        yield client


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    own = StripeSandbox(clock=lambda: NOVEMBER_2 // SECOND_US)
    with running_sandbox(own, deliver_webhooks=False) as running:
        yield running


@pytest.fixture
def connected(sqlite_databases: NewDatabase, sandbox: RunningSandbox) -> Iterator[Client]:
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    world = dollars(sqlite_databases(), gateway, email="billing@acme.example")
    world.send(runs(5))
    with running(world) as client:
        yield client


def test_a_void(client: Client) -> None:
    client.world.service.run_month(OCTOBER)
    done = client.post(f"{FIRST}/void", json={"reason": "wrong plan"})
    assert done.status_code == 200
    assert_shape(InvoiceAnswer, done.json())
    assert (done.json()["status"], done.json()["void_reason"]) == ("void", "wrong plan")
    assert done.json()["voided_at"] == "2026-11-02T00:00:00Z"
    assert_problem(client.post(f"{FIRST}/void", json={"reason": "x"}), 409, says="is void already")


def test_a_void_at_stripe_and_one_that_waits(connected: Client, sandbox: RunningSandbox) -> None:
    connected.world.service.run_month(OCTOBER)
    done = connected.post(f"{FIRST}/void", json={"reason": "wrong plan"})
    assert (done.json()["status"], done.json()["voiding"]) == ("void", None)
    (made,) = connected.world.service.run_month(OCTOBER).invoices
    stripe_client(sandbox).v1.invoices.pay(made.stripe_invoice_id or "", {"paid_out_of_band": True})
    late = connected.post(f"/v1/invoices/{made.id}/void", json={"reason": "again"})
    assert_shape(InvoiceAnswer, late.json())
    assert (late.json()["status"], late.json()["voiding"]["status"]) == ("paid", "failed")
    assert "was paid meanwhile" in late.json()["voiding"]["error"]


def test_a_credit_note_and_its_repetition(connected: Client, sandbox: RunningSandbox) -> None:
    connected.world.service.run_month(OCTOBER)
    key = {"Idempotency-Key": "one"}
    given = [connected.post(f"{FIRST}/credit-notes", json=NOTE, headers=key) for _ in range(2)]
    assert [each.status_code for each in given] == [201, 201]
    assert given[0].json() == given[1].json()
    note = given[0].json()
    assert_shape(CreditNoteAnswer, note)
    assert (note["number"], note["amount"], note["sending"]["status"]) == ("2026-11-CN-000001", 200, "done")
    assert note["author"].startswith("key ")
    assert len(stripe_client(sandbox).v1.credit_notes.list().data) == 1
    shown = connected.get(FIRST).json()
    assert_shape(InvoiceAnswer, shown)
    assert shown["credit_notes"] == [note]


def test_drafts_are_approved(client: Client) -> None:
    client.world.instant = OCTOBER.end
    (draft,) = client.world.service.run_month(OCTOBER, early=True).invoices
    path = f"/v1/invoices/{draft.id}/approve"
    assert_problem(client.post(path), 409, field="month")
    client.world.instant = NOVEMBER_2
    key = {"Idempotency-Key": "one"}
    done = [client.post(path, headers=key) for _ in range(2)]
    assert [each.status_code for each in done] == [200, 200]
    assert_shape(InvoiceAnswer, done[0].json())
    assert done[1].json() == done[0].json()
    assert (done[0].json()["number"], done[0].json()["approved_by"][:4]) == ("2026-10-000001", "key ")
    assert_problem(client.post(path), 409, says="is no draft")


def test_a_month_of_drafts_is_approved_and_sent(connected: Client, sandbox: RunningSandbox) -> None:
    connected.world.service.run_month(OCTOBER, early=True)
    done = connected.post("/v1/invoices/approvals", json={"month": "2026-10"}).json()
    assert_shape(ApprovalAnswer, done)
    assert [(each["number"], each["status"]) for each in done["approved"]] == [("2026-10-000001", "open")]
    assert_problem(connected.post("/v1/invoices/approvals", json={"month": "2026-10"}), 404)


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("void", {}, 422, "reason"),
        ("void", {"reason": ""}, 422, "reason"),
        ("void", {"reason": "x" * 201}, 422, "reason"),
        ("void", {"reason": "x", "why": "y"}, 422, "why"),
        ("credit-notes", NOTE | {"amount": "5.01"}, 409, "amount"),
        ("credit-notes", NOTE | {"amount": "0"}, 422, "amount"),
        ("credit-notes", NOTE | {"amount": 2}, 422, "amount"),
        ("credit-notes", NOTE | {"kind": "gift"}, 422, "kind"),
        ("credit-notes", {"amount": "1", "kind": "usage"}, 422, "reason"),
    ],
)
def test_what_cannot_be_done(client: Client, path: str, body: Any, status: int, field: str) -> None:
    client.world.service.run_month(OCTOBER)
    assert_problem(client.post(f"{FIRST}/{path}", json=body), status, field=field)
    shown = client.get(FIRST).json()
    assert (shown["status"], shown["credit_notes"]) == ("finalized", [])


@pytest.mark.parametrize(
    ("path", "body"),
    [("void", {"reason": "x"}), ("credit-notes", NOTE), ("approve", None)],
)
def test_only_an_admin_may_and_only_what_is_there(client: Client, path: str, body: Any) -> None:
    client.world.service.run_month(OCTOBER)
    reader = client.key("read").secret
    assert_problem(client.post(f"{FIRST}/{path}", json=body, key=reader), 403)
    assert_problem(client.post(f"/v1/invoices/inv_0/{path}", json=body), 404)


def test_an_account_is_linked_to_a_customer(connected: Client, sandbox: RunningSandbox) -> None:
    made = stripe_client(sandbox).v1.customers.create({"name": "Acme"}).id
    path = "/v1/accounts/acme/stripe-customer"
    linked = connected.ask("PUT", path, json={"customer": made})
    assert_shape(AccountAnswer, linked.json())
    assert (linked.status_code, linked.json()["stripe_customer_id"]) == (200, made)
    assert_problem(connected.ask("PUT", path, json={"customer": "cus_1"}), 409, field="customer")
    assert_problem(connected.ask("PUT", path, json={"customer": "in_1"}), 422, field="customer")
    connected.world.service.run_month(OCTOBER)
    shown = connected.get(FIRST).json()
    assert shown["hosted_invoice_url"].startswith("https://")
    assert shown["invoice_pdf"].startswith("https://")
