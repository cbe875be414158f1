"""A month from usage to paid invoices, by commands alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.payments.stripe_sandbox import running_sandbox
from tests.billing.cli.conftest import Cli, event, lines

PLAN = {
    "plan": "cent",
    "version": "1",
    "effective_from": "2021-02-01",
    "currency": "USD",
    "brackets": [{"up_to": 10, "unit_price": "0"}, {"up_to": None, "unit_price": "12.34"}],
}


def with_month(cli: Cli, folder: Path) -> Cli:
    """Twelve billable runs of acme, three of small, one of a stranger, in March 2024."""
    (folder / "cent.json").write_text(json.dumps(PLAN))
    cli.done("plans", "load", "cent.json")
    for account in ("acme", "small"):
        cli.done("accounts", "add", account, "--plan", "cent", "--billing-from", "2024-03")
    made = [event(number) for number in range(12)] + [event(100, state="FAILED")]
    made += [event(number, account="small") for number in range(3)] + [event(0, account="stranger")]
    cli.done("ingest", "-", stdin=lines(*made))
    return cli


@pytest.fixture
def month(cli: Cli, folder: Path) -> Cli:
    return with_month(cli, folder)


@pytest.fixture
def connected(month: Cli) -> Iterator[Cli]:
    """The same, with Stripe configured: the sandbox."""
    with running_sandbox(deliver_webhooks=False) as sandbox:
        month.env |= {"BILLING_STRIPE_API_KEY": sandbox.api_key, "BILLING_STRIPE_API_BASE": sandbox.url}
        yield month


def test_a_month_is_run_once(cli_on_both: Cli, folder: Path) -> None:
    month = with_month(cli_on_both, folder)
    first = month("run", "2024-03", "--json")
    assert first.code == 0
    report = first.data
    assert report.keys() >= {
        "month", "cutoff", "finalized", "sent", "skipped", "failed", "unassigned", "invoices"
    }  # fmt: skip
    assert (report["month"], report["finalized"], report["sent"], report["skipped"]) == ("2024-03", 2, 0, 0)
    assert report["failed"] == []
    assert report["unassigned"] == [{"account": "stranger", "billable": 1}]
    told = {each["account"]: (each["total"], each["status"]) for each in report["invoices"]}
    assert told == {"acme": (2468, "finalized"), "small": (0, "paid")}
    assert "unassigned: stranger has 1 billable task runs" in first.err
    assert "set BILLING_STRIPE_API_KEY and run again" in first.err
    again = month.json("run", "2024-03")
    assert (again["finalized"], again["skipped"]) == (0, 2)
    shown = month.done("run", "2024-03").out
    assert "24.68 USD" in shown
    assert "unassigned" in shown


def test_an_invoice_is_shown_and_proved(month: Cli) -> None:
    month.done("run", "2024-03")
    listed = month.json(
        "invoices", "list", "--account", "acme", "--month", "2024-03", "--status", "finalized"
    )
    (number,) = (each["number"] for each in listed)
    invoice = month.json("invoices", "show", number)
    assert invoice.keys() >= {
        "id", "number", "account", "kind", "period", "currency", "status", "plan", "cutoff", "billable",
        "not_billed", "run_list_sha256", "lines", "total", "amount_paid", "stripe_invoice_id",
    }  # fmt: skip
    assert invoice["not_billed"]["failed"] == 1
    assert invoice["lines"][1] == {
        "kind": "usage",
        "description": "Task runs 11 to 12 at 12.34 USD each",
        "quantity": 2,
        "unit_price": "12.34",
        "exact_amount": "24.68",
        "amount": 2468,
    }
    assert month.json("invoices", "show", invoice["id"]) == invoice
    shown = month.done("invoices", "show", number).out
    for text in ("24.68 USD", "failed 1", invoice["run_list_sha256"], f"invoices runs {number} | sha256sum"):
        assert text in shown
    runs = month.done("invoices", "runs", number).bytes
    assert hashlib.sha256(runs).hexdigest() == invoice["run_list_sha256"]
    assert runs.count(b"\n") == invoice["billable"] + 1
    assert runs.startswith(b"task_run_id,ended_at,duration_us\nrun-0,2024-03-05T10:00:00Z,2000000\n")
    month.done("invoices", "runs", number, "-o", "runs.csv")
    assert Path("runs.csv").read_bytes() == runs
    assert month.json("invoices", "verify", number) == {"id": invoice["id"], "ok": True, "differences": []}
    assert "ok" in month.done("invoices", "verify", number).out


def test_late_events_change_no_invoice(month: Cli) -> None:
    month.done("run", "2024-03", "--account", "acme")
    (before,) = month.json("invoices", "list")
    month.done("ingest", "-", stdin=lines(event(50), event(0, state="ROLLED_BACK")))
    assert month.json("invoices", "list") == [before]
    assert month.json("invoices", "verify", before["id"])["ok"]
    assert month.json("usage", "acme", "--month", "2024-03")["billable"] == 12


def test_an_invoice_that_differs_from_its_events_is_told(month: Cli) -> None:
    import sqlite3

    month.done("run", "2024-03")
    (acme,) = month.json("invoices", "list", "--account", "acme")
    with sqlite3.connect("billing.db") as database:
        database.execute("UPDATE invoices SET billable = 13 WHERE account_id = 'acme'")
    result = month("invoices", "verify", acme["number"], "--json")
    assert result.code == 1
    assert result.data["differences"] == [{"field": "billable", "stored": 13, "recomputed": 12}]
    shown = month("invoices", "verify", acme["number"])
    assert (shown.code, "differs" in shown.out) == (1, True)


def test_an_early_run_makes_drafts(month: Cli) -> None:
    report = month.json("run", "2024-03", "--early")
    assert (report["drafted"], report["finalized"]) == (2, 0)
    assert {each["status"] for each in report["invoices"]} == {"draft"}
    assert "drafted" in month.done("run", "2024-03", "--early").out


def test_months_are_run_in_order(month: Cli) -> None:
    body = lines(event(70, started_at="2024-04-01T00:00:00Z", ended_at="2024-04-02T00:00:00Z"))
    month.done("ingest", "-", stdin=body)
    outcome = month("run", "2024-04", "--json")
    assert outcome.code == 1
    assert [each["account"] for each in outcome.data["failed"]] == ["acme"]
    assert "failed: acme: 2024-03 has task runs and was not run; run it first" in outcome.err


def test_invoices_go_through_stripe(connected: Cli) -> None:
    waiting = connected.json("run", "2024-03", "--no-send")
    assert (waiting["finalized"], waiting["sent"]) == (2, 0)
    report = connected("run", "2024-03", "--json")
    assert "BILLING_STRIPE_API_KEY" not in report.err
    assert (report.code, report.data["sent"]) == (0, 1)
    (acme,) = connected.json("invoices", "list", "--status", "open")
    assert acme["stripe_invoice_id"].startswith("in_")
    assert connected.json("accounts", "show", "acme")["stripe_customer_id"].startswith("cus_")
    shown = connected.json("invoices", "show", acme["number"])
    assert shown["hosted_invoice_url"].startswith("https://")
    assert shown["invoice_pdf"].startswith("https://")
    text = connected.done("invoices", "show", acme["number"]).out
    for link in ("stripe_invoice_id", "hosted_invoice_url", "invoice_pdf"):
        assert shown[link] in text


def test_an_account_is_linked(connected: Cli) -> None:
    connected.json("run", "2024-03")
    made = connected.json("accounts", "show", "acme")["stripe_customer_id"]
    assert connected.json("accounts", "link", "acme", made)["stripe_customer_id"] == made
    assert made in connected.done("accounts", "link", "acme", made).out
    assert "link once they are paid" in connected("accounts", "link", "acme", "cus_1").error


def test_an_invoice_that_cannot_be_sent_is_looked_at(month: Cli) -> None:
    month.env |= {"BILLING_STRIPE_API_KEY": "sk_test_1", "BILLING_STRIPE_API_BASE": "http://127.0.0.1:1"}
    outcome = month("run", "2024-03", "--json")
    assert outcome.code == 1
    (failed,) = outcome.data["failed"]
    assert failed["account"] == "acme"
    assert failed["message"].startswith("not sent: ")
    assert "not sent: " in month.done("invoices", "show", "2024-03-000001").out
