"""Usage and previews."""

from __future__ import annotations

import pytest

from tests.billing.cli.conftest import Cli, event, lines

NOTHING = {"too_short": 0, "cached": 0, "failed": 0, "crashed": 0, "cancelled": 0, "reversed": 0}


@pytest.fixture
def metered(cli_on_both: Cli) -> Cli:
    """Seven task runs of acme in March 2024."""
    body = lines(
        event(1, workspace="prod", flow="etl"),
        event(2, workspace="prod", flow="etl", duration=1),
        event(3, workspace="prod", flow="[red]report", state="FAILED"),
        event(4, workspace="dev", flow="etl", ended_at="2024-03-06T11:00:00Z"),
        event(5, workspace="dev", flow="etl", state="CACHED", duration=0, ended_at="2024-03-06T11:30:00Z"),
        event(6, state="CRASHED"),
        event(7, state="ROLLED_BACK"),
    )
    cli_on_both.done("ingest", "-", stdin=body)
    return cli_on_both


def test_usage_by_day(metered: Cli) -> None:
    assert metered.json("usage", "acme", "--month", "2024-03") == {
        "account": "acme",
        "period": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"},
        "billable": 2,
        "not_billed": NOTHING | {"too_short": 1, "cached": 1, "failed": 1, "crashed": 1, "reversed": 1},
        "windows": [
            {
                "start": "2024-03-05T00:00:00Z",
                "billable": 1,
                "not_billed": NOTHING | {"too_short": 1, "failed": 1, "crashed": 1, "reversed": 1},
            },
            {"start": "2024-03-06T00:00:00Z", "billable": 1, "not_billed": NOTHING | {"cached": 1}},
        ],
    }


def test_usage_of_a_period_by_hour_and_group(metered: Cli) -> None:
    period = ("--from", "2024-03-06T11:00:00Z", "--to", "2024-03-06T12:00:00Z")
    assert metered.json("usage", "acme", *period, "--by", "hour", "--group-by", "workspace")["windows"] == [
        {
            "start": "2024-03-06T11:00:00Z",
            "billable": 1,
            "not_billed": NOTHING | {"cached": 1},
            "workspace": "dev",
        }
    ]
    flows = metered.json("usage", "acme", "--month", "2024-03", "--by", "month", "--group-by", "flow")
    assert {each["flow"]: each["billable"] for each in flows["windows"]} == {
        "": 0,
        "etl": 2,
        "[red]report": 0,
    }


def test_usage_on_screen_loses_nothing(metered: Cli) -> None:
    shown = metered.done("usage", "acme", "--month", "2024-03", "--by", "hour", "--group-by", "flow").out
    assert "\x1b" not in shown
    for text in ("billable", "too short", "cached", "failed", "crashed", "cancelled", "reversed", "total"):
        assert text in shown
    assert "2024-03-05 10:00" in shown
    assert "[red]report" in shown
    assert "(none)" in shown


def test_a_period_is_on_whole_hours(metered: Cli) -> None:
    wrong = metered("usage", "acme", "--from", "2024-03-06T11:30:00Z", "--to", "2024-03-07T00:00:00Z")
    assert "--from must be on a whole hour" in wrong.error
    assert wrong.code == 2
    wrong = metered("usage", "acme", "--from", "2024-03-07T00:00:00Z", "--to", "2024-03-06T00:00:00Z")
    assert "--to must not be before from" in wrong.error


def test_a_metered_account_needs_no_account(metered: Cli) -> None:
    assert metered.json("usage", "acme", "--month", "2024-05")["windows"] == []
    assert metered("usage", "stranger", "--month", "2024-03").code == 2


def test_a_preview_is_an_invoice_that_is_none(metered: Cli) -> None:
    metered.done("accounts", "add", "acme", "--billing-from", "2024-03", "--plan", "standard")
    preview = metered.json("preview", "acme", "--month", "2024-03")
    assert preview.keys() >= {
        "id", "number", "account", "kind", "period", "currency", "status", "plan", "cutoff", "billable",
        "not_billed", "run_list_sha256", "lines", "total", "amount_paid", "stripe_invoice_id",
    }  # fmt: skip
    assert (preview["id"], preview["number"], preview["total"], preview["billable"]) == (None, None, 0, 2)
    assert preview["plan"] == "standard@2021-02"
    assert preview["lines"] == [
        {
            "kind": "usage",
            "description": "Task runs 1 to 2 (free)",
            "quantity": 2,
            "unit_price": "0",
            "exact_amount": "0",
            "amount": 0,
        }
    ]
    shown = metered.done("preview", "acme", "--month", "2024-03").out
    assert "Task runs 1 to 2 (free)" in shown
    assert "too short 1 · cached 1 · failed 1 · crashed 1 · cancelled 0 · reversed 1" in shown
    assert metered.json("invoices", "list") == []
