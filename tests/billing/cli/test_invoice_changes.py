"""Voids, credit notes and approvals by commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.payments.stripe_sandbox import RunningSandbox, running_sandbox
from metering.database import make_engine
from tests.billing.cli.conftest import Cli, event, lines
from tests.settled import stripe_client

PLAN = {
    "plan": "dollar",
    "version": "1",
    "effective_from": "2021-02-01",
    "currency": "USD",
    "brackets": [{"up_to": None, "unit_price": "1"}],
}
FIRST = "2024-03-000001"


@pytest.fixture
def month(cli: Cli, folder: Path) -> Cli:
    """Five runs of acme in March 2024, at a dollar each."""
    (folder / "dollar.json").write_text(json.dumps(PLAN))
    cli.done("plans", "load", "dollar.json")
    cli.done("accounts", "add", "acme", "--plan", "dollar", "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(*(event(number) for number in range(5))))
    return cli


@pytest.fixture
def sandbox(month: Cli) -> Iterator[RunningSandbox]:
    """Stripe is configured: the sandbox."""
    with running_sandbox(deliver_webhooks=False) as sandbox:
        month.env |= {"BILLING_STRIPE_API_KEY": sandbox.api_key, "BILLING_STRIPE_API_BASE": sandbox.url}
        yield sandbox


def test_a_void_without_stripe(month: Cli) -> None:
    month.done("run", "2024-03")
    done = month.done("invoices", "void", FIRST, "--reason", "wrong plan")
    assert done.out.strip() == f"Invoice {FIRST} is void; bill the month again with: billing run 2024-03"
    assert "wrong plan" in month.done("invoices", "show", FIRST).out
    again = month.json("run", "2024-03")["invoices"][0]
    assert again["number"] == "2024-03-000002"
    assert month.json("invoices", "show", again["number"])["replaces_number"] == FIRST
    assert FIRST in month.done("invoices", "show", again["number"]).out
    assert again["number"] in month.done("invoices", "show", FIRST).out
    voided = month.json("invoices", "void", again["number"], "--reason", "x")
    assert (voided["status"], voided["void_reason"], voided["voiding"]) == ("void", "x", None)
    outcome = month("invoices", "void", FIRST, "--reason", "x")
    assert (outcome.code, outcome.error) == (2, f"billing: invoice {FIRST} is void already")
    outcome = month("invoices", "void", FIRST, "--reason", "x" * 201)
    assert (outcome.code, "at most 200 characters" in outcome.error) == (2, True)


def test_a_void_at_stripe(month: Cli, sandbox: RunningSandbox) -> None:
    month.done("run", "2024-03")
    assert month.json("invoices", "void", FIRST, "--reason", "wrong plan")["status"] == "void"
    assert [each.status for each in stripe_client(sandbox).v1.invoices.list().data] == ["void"]


def test_a_void_that_waits_for_stripe(month: Cli, sandbox: RunningSandbox) -> None:
    month.done("run", "2024-03")
    month.env |= {"BILLING_STRIPE_API_BASE": "http://127.0.0.1:1"}
    outcome = month("invoices", "void", FIRST, "--reason", "wrong plan")
    assert outcome.code == 1
    assert f"Invoice {FIRST} is open, and void once Stripe has voided it." in outcome.out
    assert outcome.err.startswith("not voided: ")
    assert "open, not void: " in month.done("invoices", "show", FIRST).out
    month.env["BILLING_STRIPE_API_KEY"] = None
    later = month("invoices", "void", FIRST, "--reason", "wrong plan")
    assert "Stripe is not configured: set BILLING_STRIPE_API_KEY" in later.err


def test_a_paid_invoice_takes_a_credit_note(month: Cli, sandbox: RunningSandbox) -> None:
    month.done("run", "2024-03")
    client = stripe_client(sandbox)
    client.v1.invoices.pay(client.v1.invoices.list().data[0].id, {"paid_out_of_band": True})
    outcome = month("invoices", "void", FIRST, "--reason", "wrong plan")
    assert (outcome.code, "billing invoices credit-note 2024-03-000001" in outcome.err) == (1, True)
    given = month.done("invoices", "credit-note", FIRST, "2.00", "--kind", "goodwill", "--reason", "outage")
    assert ": 2.00 USD (goodwill), outage" in given.out
    assert given.err == ""
    note = month.json("invoices", "credit-note", FIRST, "1.50", "--kind", "usage", "--reason", "test runs")
    assert (note["amount"], note["kind"], note["sending"]["status"]) == (150, "usage", "done")
    shown = month.done("invoices", "show", FIRST).out
    assert f"Credit note {note['number']}: 1.50 USD (usage), test runs" in shown


def test_a_usage_note_warns_that_it_is_billed_again(month: Cli) -> None:
    month.done("run", "2024-03")
    warned = month(
        "invoices", "credit-note", FIRST, "1", "--kind", "usage", "--reason", "test runs", "--json"
    )
    assert (warned.code, warned.data["amount"]) == (0, 100)
    assert "the next billing run of acme bills it again, unless the task runs stop counting too" in warned.err
    assert "not at Stripe yet" in month.done("invoices", "show", FIRST).out


def test_a_note_that_cannot_be_given(month: Cli) -> None:
    month.done("run", "2024-03")
    note = ("invoices", "credit-note", FIRST)
    for words, says in [
        (("6", "--kind", "usage", "--reason", "x"), "has 5.00 USD left to credit"),
        (("1", "--kind", "gift", "--reason", "x"), "kind 'gift' is not one of usage, goodwill"),
        (("one", "--kind", "usage", "--reason", "x"), "one"),
        (("1", "--kind", "usage", "--reason", ""), "say why"),
        (("1", "--kind", "usage"), "Missing option '--reason'"),
    ]:
        outcome = month(*note, *words)
        assert (outcome.code, says in outcome.error) == (2, True), outcome.err


def test_drafts_are_approved(month: Cli) -> None:
    (draft,) = month.json("run", "2024-03", "--early")["invoices"]
    approved = month.json("invoices", "approve", draft["id"])
    assert (approved["failed"], [each["number"] for each in approved["approved"]]) == ([], [FIRST])
    assert "approved by" in month.done("invoices", "show", FIRST).out
    outcome = month("invoices", "approve", draft["id"])
    assert outcome.error == f"billing: invoice {FIRST} is no draft: it is finalized"
    assert "name one draft by its ID" in month("invoices", "approve").error
    assert "2024-03 has no drafts" in month("invoices", "approve", "--month", "2024-03").error


def test_a_draft_that_would_be_another_now_is_no_difference(month: Cli) -> None:
    (draft,) = month.json("run", "2024-03", "--early")["invoices"]
    month.done("accounts", "credit", "acme", "3.00", "--reason", "sorry")
    proved = month.json("prove")
    assert (proved["ok"], proved["invoices"], proved["drafts"], proved["differing"]) == (True, 0, 1, [])
    assert month.json("prove", "--month", "2024-04")["drafts"] == 0
    said = month.done("prove").out.splitlines()
    assert said[:2] == [
        "0 invoices computed again from their events, 0 differ",
        "1 draft, made anew by the next run",
    ]
    assert month("invoices", "verify", draft["id"]).code == 1  # who asks for it is told
    month.done("run", "2024-03")
    proved = month.json("prove")
    assert (proved["ok"], proved["invoices"], proved["drafts"]) == (True, 1, 0)


@pytest.mark.behind_the_back
def test_a_row_that_refers_to_what_is_to_be_replaced_is_said_to_be_in_the_way(month: Cli) -> None:
    (draft,) = month.json("run", "2024-03", "--early")["invoices"]
    with make_engine(month.env["BILLING_DATABASE_URL"]).begin() as connection:
        forged = sa.text("INSERT INTO invoice_payments VALUES (:id, 1, 5, 7)")
        connection.execute(forged, {"id": draft["id"]})
    outcome = month("run", "2024-03")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (  # after the log's
        "billing: the database: FOREIGN KEY constraint failed; it holds something that refers to what is to"
        " be replaced, or that stands in its place, which the service did not put there; see: billing prove"
    )
    proved = month("prove")
    assert proved.code == 1
    assert f"the payments of invoice {draft['id']} come to 5, and it says 0" in proved.out


def test_a_month_of_drafts_is_approved_and_sent(month: Cli, sandbox: RunningSandbox) -> None:
    month.done("run", "2024-03", "--early")
    done = month.done("invoices", "approve", "--month", "2024-03")
    assert (FIRST in done.out, "open" in done.out) == (True, True)
    assert [each.number for each in stripe_client(sandbox).v1.invoices.list().data] == [FIRST]


def test_a_draft_that_is_not_sent_is_looked_at(month: Cli) -> None:
    month.env |= {"BILLING_STRIPE_API_KEY": "sk_test_1", "BILLING_STRIPE_API_BASE": "http://127.0.0.1:1"}
    month.done("run", "2024-03", "--early")
    outcome = month("invoices", "approve", "--month", "2024-03", "--json")
    assert (outcome.code, outcome.data["approved"][0]["status"]) == (1, "finalized")
    assert outcome.data["failed"][0]["message"].startswith("not sent: ")
