"""billing reconcile: what it prints, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from billing.payments.stripe_sandbox import RunningSandbox, running_sandbox
from tests.billing.cli.conftest import Cli, event, lines
from tests.billing.cli.test_month import with_month
from tests.metering.prefect_double import prefect_double, row, run_id
from tests.settled import stripe_client


@pytest.fixture
def month(cli: Cli, folder: Path) -> Cli:
    return with_month(cli, folder)


@pytest.fixture
def sandbox(month: Cli) -> Iterator[RunningSandbox]:
    """Stripe is configured, acme has an e-mail address, and nobody is a stranger."""
    with running_sandbox(deliver_webhooks=False) as running:
        month.env |= {"BILLING_STRIPE_API_KEY": running.api_key, "BILLING_STRIPE_API_BASE": running.url}
        month.done("accounts", "update", "acme", "--email", "a@example.com")
        month.done("accounts", "add", "stranger", "--plan", "cent", "--billing-from", "2024-03")
        yield running


@pytest.fixture
def client(sandbox: RunningSandbox) -> stripe.StripeClient:
    return stripe_client(sandbox)


def pay(client: stripe.StripeClient) -> None:
    (held,) = client.v1.invoices.list().data
    client.v1.invoices.pay(held.id, {"paid_out_of_band": True})


def test_a_month_that_agrees_is_one_sentence(month: Cli, sandbox: RunningSandbox) -> None:
    month.done("run", "2024-03")
    shown = month.done("reconcile", "2024-03")
    assert shown.out == (
        "2024-03: 3 accounts, 3 invoices of 24.68 USD, 0.00 USD paid, 1 at Stripe: ok, everything agrees\n"
    )
    assert shown.err == ""
    assert month.json("reconcile", "2024-03") == {
        "month": "2024-03",
        "ok": True,
        "differences": [],
        "fixed": [],
        "notes": [],
        "compared": {
            "accounts": 3,
            "invoices": 3,
            "at_stripe": 1,
            "source_runs": None,
            "amounts": [{"currency": "USD", "total": 2468, "amount_paid": 0}],
        },
    }


def test_what_differs_is_named_mended_and_told(
    month: Cli, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    month.done("run", "2024-03")
    pay(client)
    month.done("ingest", "-", stdin=lines(event(50)))
    outcome = month("reconcile", "2024-03", "--json")
    assert (outcome.code, outcome.data["ok"]) == (1, False)
    told = [
        (
            each["account"],
            each["between"],
            each["cause"],
            each.get("quantity"),
            each["amount"],
            each["fixable"],
        )
        for each in outcome.data["differences"]
    ]
    assert told == [
        ("acme", "meter-invoice", "late events not yet adjusted", 1, 1234, False),
        ("acme", "invoice-stripe", "paid state differs", None, -2468, True),
    ]
    shown = month("reconcile", "2024-03")
    assert shown.code == 1
    for text in ("2 differences", "paid state differs", "-24.68 USD", "reconcile 2024-03 --fix"):
        assert text in shown.out
    fixed = month("reconcile", "2024-03", "--fix")
    assert fixed.code == 1
    assert "Fixed 1 difference:" in fixed.out
    assert "1 difference:" in fixed.out.partition("Fixed 1 difference:")[2]
    assert "24.68 USD paid" in fixed.out
    again = month("reconcile", "2024-03", "--fix", "--json")
    assert (again.data["fixed"], len(again.data["differences"])) == ([], 1)


def test_all_is_well_once_everything_is_mended(
    month: Cli, sandbox: RunningSandbox, client: stripe.StripeClient
) -> None:
    month.done("run", "2024-03")
    pay(client)
    outcome = month.done("reconcile", "2024-03", "--fix", "--json")
    assert (outcome.data["ok"], [each["cause"] for each in outcome.data["fixed"]]) == (
        True, ["paid state differs"]
    )  # fmt: skip


def test_without_stripe_it_says_so(month: Cli) -> None:
    month.done("run", "2024-03")
    outcome = month("reconcile", "2024-03")
    assert outcome.code == 1
    assert "unassigned account" in outcome.out
    assert outcome.err.startswith("Stripe is not configured: invoices were not compared with it")
    one = month.done("reconcile", "2024-03", "--account", "acme")
    assert one.out == "2024-03: 1 account, 1 invoice of 24.68 USD, 0.00 USD paid: ok, these agree\n"
    assert "Stripe is not configured" in one.err


def test_when_stripe_cannot_be_asked_one_line_says_so(month: Cli) -> None:
    month.done("run", "2024-03")
    month.env |= {"BILLING_STRIPE_API_KEY": "sk_test_1", "BILLING_STRIPE_API_BASE": "http://127.0.0.1:1"}
    outcome = month("reconcile", "2024-03")
    assert outcome.code == 1
    assert outcome.error.startswith("billing: ")


def _prefect_event(number: int) -> dict[str, object]:
    end = "2024-03-07T12:00:05Z"
    return {
        "event": "prefect.task-run.Completed",
        "occurred": end,
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{run_id(number)}",
            "prefect.state-name": "Completed",
            "prefect.state-type": "COMPLETED",
        },
        "payload": {"task_run": {"start_time": end, "end_time": end, "total_run_time": 1.25}},
    }


def test_with_a_prefect_server(month: Cli) -> None:
    month.env["BILLING_PREFECT_API_KEY"] = "pnu_1"
    body = lines(*(_prefect_event(number) for number in range(3)))
    month.done("ingest", "-", "--format", "prefect", "--account", "small", stdin=body)
    month.done("run", "2024-03")
    rows = [row(number, end="2024-03-07T12:00:05Z") for number in range(4)]
    with prefect_double(rows) as double:
        asked = ("reconcile", "2024-03", "--prefect-url", double.url)
        found = month(*asked, "--account", "small", "--json")
        assert found.code == 1
        (difference,) = found.data["differences"]
        assert (difference["between"], difference["cause"], difference["quantity"]) == (
            "source-meter", "meter differs from the source", -1
        )  # fmt: skip
        assert run_id(3) in difference["message"]
        # Whose they are need not be said where one account alone has task runs of Prefect.
        assert month(*asked, "--json").data["differences"][0] == difference
        assert set(double.keys) == {"Bearer pnu_1"}
        double.rows.pop()
        shown = month.done(*asked, "--account", "small")
        assert shown.out.startswith("2024-03: 3 task runs of the source, 1 account, 1 invoice of ")
        other = lines(_prefect_event(9))
        month.done("ingest", "-", "--format", "prefect", "--account", "acme", stdin=other)
        assert "2 accounts have task runs of Prefect; say whose" in month(*asked).error


def test_with_two_prefect_servers_of_an_account(month: Cli) -> None:
    """Named, or as they are known: each with its own key."""
    body = lines(*(_prefect_event(number) for number in range(3)))
    month.done("ingest", "-", "--format", "prefect", "--account", "small", stdin=body)
    month.done("run", "2024-03")
    rows = [row(number, end="2024-03-07T12:00:05Z") for number in range(3)]
    with prefect_double(rows[:2]) as one, prefect_double(rows[2:]) as other:
        one.key, other.key = "pnu_1", "pnu_2"
        month.env |= {"BILLING_PREFECT_API_KEY": "pnu_1", "BILLING_PREFECT_API_KEY_B": "pnu_2"}
        both = ("--prefect-url", one.url, "--prefect-url", other.url)
        ask = ("reconcile", "2024-03", "--account", "small")
        assert "check BILLING_PREFECT_API_KEY" in month(*ask, *both).error
        assert "no source of account small is collected from" in month(*ask, "--sources").error
        add = ("--account", "small", "--since", "2024-03-01T00:00:00Z")
        month.done("sources", "add", "a", "--api-url", one.url, *add)
        month.done(
            "sources", "add", "b", "--api-url", other.url, "--key-name", "BILLING_PREFECT_API_KEY_B", *add
        )
        for which in (both, ("--sources",)):
            assert month.json(*ask, *which)["compared"]["source_runs"] == 3
        alone = month(*ask, "--prefect-url", one.url, "--json")
        assert [each["quantity"] for each in alone.data["differences"]] == [1]
        assert month("reconcile", "2024-03", *both, "--sources").code == 2


def test_a_server_that_is_none(month: Cli) -> None:
    with prefect_double() as double:
        outcome = month("reconcile", "2024-03", "--account", "acme", "--prefect-url", f"{double.url}/api/v9")
    assert outcome.code == 1
    assert "there is no API of Prefect at" in outcome.error
