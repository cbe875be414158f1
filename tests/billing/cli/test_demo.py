"""The demo, as a stranger starts it: in a folder of its own, without a setting, a key or a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from billing.demo.synthetic import CUSTOMERS, Truth, write_month
from billing.demo.workspace import Workspace
from billing.errors import Refused
from metering.period import Month
from tests.billing.cli.conftest import Cli

OCTOBER = Month.parse("2026-10")


class Demo:
    def __init__(self, folder: Path) -> None:
        # What a machine may have configured is not the demo's: a wrong currency, a proxy, a live key.
        foreign = {
            "BILLING_CURRENCY": "none",
            "BILLING_STRIPE_API_KEY": "sk_live_1",
            "HTTP_PROXY": "http://127.0.0.1:1",
            "ALL_PROXY": "http://127.0.0.1:1",
        }
        env = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        self.command = [sys.executable, "-m", "billing.cli", "demo"]
        self.options: dict[str, Any] = {
            "cwd": folder,
            "env": env | foreign | {"PYTHONPATH": str(Path(__file__).parents[3])},
            "capture_output": True,
            "text": True,
        }

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.command, *args], check=False, **self.options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def figures(place: Path) -> dict[str, Any]:
    done = Demo(place)("--json")
    assert done.returncode == 0, done.stderr
    held: dict[str, Any] = json.loads(done.stdout)
    return held


@pytest.fixture(scope="module")
def truth() -> Truth:
    counted = Truth()
    for _ in write_month(OCTOBER, counted):
        pass
    return counted


def test_every_run_is_metered_as_it_was_made(figures: dict[str, Any], truth: Truth) -> None:
    month = figures["month"]
    assert month["ingest"] == {
        "received": truth.events,
        "accepted": truth.events - truth.duplicate,
        "duplicate": truth.duplicate,
        "ignored": 0,
        "rejected": 0,
        "errors": [],
    }
    metered = {
        account: {"billable": held["billable"]} | held["not_billed"]
        for account, held in month["accounts"].items()
    }
    assert metered == {account: dict(counted) for account, counted in truth.runs.items()}


def test_the_capture_is_metered_and_previewed(figures: dict[str, Any]) -> None:
    capture = figures["capture"]
    assert (capture["ingest"]["received"], capture["ingest"]["ignored"]) == (965, 703)
    assert capture["usage"]["billable"] == 111
    preview = capture["preview"]
    assert (preview["status"], preview["period"]["start"]) == ("preview", "2026-11-01T00:00:00Z")


def test_each_customer_is_billed_by_the_rules(figures: dict[str, Any], truth: Truth) -> None:
    billable = {account: counted["billable"] for account, counted in truth.runs.items()}
    run = figures["run"]
    totals = {each["account"]: each["total"] for each in run["invoices"]}
    assert billable["northwind-analytics"] > 100_000
    beyond = (billable["northwind-analytics"] - 100_000) * 125  # in thousandths of a cent
    assert totals["northwind-analytics"] == 22_500 + (beyond + 500) // 1000
    # 25,000 committed runs, then 10,000 free ones on demand.
    assert totals["halden-health"] == ((billable["halden-health"] - 35_000) * 5 + 5) // 10
    full = ((billable["brightwater-labs"] - 10_000) * 25 + 50) // 100
    assert totals["brightwater-labs"] == full - (full + 1) // 2
    assert billable["pelican-robotics"] < 10_000
    assert (totals["pelican-robotics"], totals["tinkers-guild"]) == (0, 0)
    assert run["unassigned"] == [{"account": "orchard-school", "billable": billable["orchard-school"]}]
    assert (run["finalized"], run["sent"], run["failed"]) == (5, 3, [])


def test_one_is_paid_and_its_invoice_is_proved(figures: dict[str, Any]) -> None:
    invoices = {each["account"]: each for each in figures["paid"]["invoices"]}
    paid = invoices["northwind-analytics"]
    assert (paid["status"], paid["amount_paid"]) == ("paid", paid["total"])
    assert paid["amount_paid"] > 0
    assert {each["status"] for each in invoices.values()} == {"paid", "open"}
    assert figures["verify"]["ok"] is True


def test_what_was_agreed_and_what_came_late(figures: dict[str, Any], truth: Truth) -> None:
    agreed, late = figures["agreed"], figures["late"]
    assert (agreed["contract"]["used"], agreed["contract"]["remaining"]) == (25_000, 0)
    drawn_and_beyond = agreed["on_demand"]["contract"]
    assert drawn_and_beyond["drawn"] == 25_000
    assert drawn_and_beyond["on_demand"] == truth.runs["halden-health"]["billable"] - 25_000
    assert [line["amount"] for line in agreed["contract_invoice"]["lines"]] == [15_00, 250_00]
    assert agreed["contract_invoice"]["status"] == "open"
    (line,) = late["preview"]["lines"]
    assert (line["kind"], line["month"], line["quantity"], line["amount"]) == (
        "adjustment",
        "2026-10",
        1200,
        150,
    )


def test_the_month_is_reconciled_and_the_lost_webhook_found(figures: dict[str, Any], truth: Truth) -> None:
    before, after = figures["reconciled"]["before"], figures["reconciled"]["after"]
    paid = next(
        each["total"] for each in figures["paid"]["invoices"] if each["account"] == "brightwater-labs"
    )
    assert [(each["account"], each["cause"], each.get("amount")) for each in before["differences"]] == [
        (figures["late"]["preview"]["account"], "late events not yet adjusted", 150),
        ("orchard-school", "unassigned account", None),
        ("brightwater-labs", "paid state differs", -paid),
    ]
    assert (before["ok"], after["ok"]) == (False, False)
    assert [each["account"] for each in after["fixed"]] == ["brightwater-labs"]
    assert after["differences"] == before["differences"][:2]


def test_the_month_goes_to_the_books(figures: dict[str, Any], truth: Truth) -> None:
    """What is earned is what the month's invoices come to, and the price of the runs that were drawn."""
    (dollars,) = figures["revenue"]["currencies"]
    issued = [each["total"] for each in figures["paid"]["invoices"]]
    assert dollars["revenue"]["total"] == sum(issued) + 60_00
    assert dollars["revenue"]["Commitment revenue"] == dollars["deferred"]["unbilled_commitments"] == 60_00
    not_billed = sum(dollars["not_billed"]["runs"].values())
    known = [runs for account, runs in truth.runs.items() if account != "orchard-school"]
    assert not_billed == sum(sum(runs.values()) - runs["billable"] for runs in known)
    assert figures["revenue"]["unassigned"][0]["account"] == "orchard-school"


def test_the_customers_page_has_a_month_to_show(figures: dict[str, Any], truth: Truth) -> None:
    """Three weeks of it, beside the month before, and what it will come to."""
    so_far = figures["so_far"]
    assert so_far["account"] == "northwind-analytics" and so_far["month"] == "2026-11"
    assert 0.6 < so_far["billable"] / truth.runs["northwind-analytics"]["billable"] < 0.8
    assert sum(so_far["not_billed"].values()) > 0
    amount = so_far["forecast"]["amount"]
    assert so_far["amount"] < amount["low"] <= amount["expected"] <= amount["high"]


def test_it_tells_the_same_story_again(place: Path, figures: dict[str, Any]) -> None:
    assert figures["folder"] == "billing-demo"
    (place / "billing-demo" / "notes.txt").write_text("mine")
    done = Demo(place)()
    assert done.returncode == 0, done.stderr
    assert "billing-demo is made anew." in done.stderr
    assert (place / "billing-demo" / "notes.txt").read_text() == "mine"
    assert figures["invoice"]["run_list_sha256"] in done.stdout
    assert "Not billed: 17,161 runs." in done.stdout
    assert "\x1b" not in done.stdout
    program = f"{sys.executable} -m billing.cli"
    told = done.stdout.replace(program, "billing").replace(
        str(Path(sys.executable).with_name("billing")), "billing"
    )
    assert max(map(len, told.splitlines())) <= 100


def test_its_data_can_be_looked_at(place: Path, figures: dict[str, Any]) -> None:
    cli = Cli(f"sqlite:///{place / 'billing-demo' / 'billing.db'}")
    number = figures["invoice"]["number"]
    assert cli.json("invoices", "show", number)["total"] == figures["invoice"]["total"]
    again = cli.json("ingest", place / "billing-demo" / "2026-10.ndjson.gz")
    assert (again["accepted"], again["duplicate"]) == (0, again["received"])


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "billing.db").write_text("mine")
    with pytest.raises(Refused, match="was not made by the demo"):
        Workspace(tmp_path)
    assert (tmp_path / "billing.db").read_text() == "mine"


def test_the_synthetic_month_is_the_same_every_time(truth: Truth) -> None:
    short = Month.parse("2026-02")
    first, second = Truth(), Truth()
    assert b"".join(write_month(short, first)) == b"".join(write_month(short, second))
    assert first == second
    assert set(truth.runs) == {each.account for each in CUSTOMERS}
    assert 150_000 < sum(sum(counted.values()) for counted in truth.runs.values()) < 250_000
    for counted in truth.runs.values():
        assert set(counted) == {
            "billable", "too_short", "cached", "failed", "crashed", "cancelled", "reversed"
        }  # fmt: skip
