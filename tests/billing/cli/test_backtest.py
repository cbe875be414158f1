"""billing backtest, billing whatif: the same figures in every form, and exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.billing.cli.conftest import Cli, event, lines

PLAN = {
    "plan": "flow",
    "version": "v1",
    "effective_from": "2024-01-01",
    "currency": "USD",
    "brackets": [{"up_to": 2, "unit_price": "0"}, {"up_to": None, "unit_price": "1.00"}],
}
DRAFT = PLAN | {
    "version": "draft",
    "brackets": [{"up_to": 1, "unit_price": "0"}, {"up_to": None, "unit_price": "1.50"}],
}
MONTHS = ("--months", "2024-03:2024-03")


@pytest.fixture
def metered(cli: Cli, folder: Path) -> Cli:
    """Five runs of two seconds of acme in March 2024, one of 0.7 s, and one of globex."""
    (folder / "plan.json").write_text(json.dumps(PLAN))
    (folder / "draft.json").write_text(json.dumps(DRAFT))
    cli.done("plans", "load", folder / "plan.json")
    for account in ("acme", "globex"):
        cli.done("accounts", "add", account, "--plan", "flow", "--billing-from", "2024-03")
    told = [event(number, duration=2) for number in range(5)]
    told += [event(9, duration="0.7"), event(1, account="globex", duration=2)]
    cli.done("ingest", "-", stdin=lines(*told))
    return cli


def test_a_backtest_in_json(metered: Cli, folder: Path) -> None:
    """acme: 3 paid runs at 1.00 now, 4 at 1.50 then. globex: nothing, now and then."""
    data = metered.json(
        "backtest", folder / "draft.json", *MONTHS, "--solve", "free-runs", "--solve", "price:2"
    )
    (month,) = data["months"]
    assert (month["month"], month["current"], month["draft"]) == ("2024-03", 300, 600)
    found = {each["account"]: (each["current"], each["draft"]) for each in data["accounts"]}
    assert found == {"acme": (300, 600), "globex": (0, 0)}
    free, price = data["solved"]
    assert (free["value"], free["brings"], free["next_value"], free["next_brings"]) == (3, 300, 4, 150)
    assert (price["value"], price["brings"]) == ("0.74875", 300)
    assert data == metered.json("backtest", folder / "draft.json", *MONTHS, "--format", "json") | {
        "solved": data["solved"]
    }


def test_a_backtest_as_a_table_and_as_csv(metered: Cli, folder: Path) -> None:
    shown = metered.done("backtest", folder / "draft.json", *MONTHS).out
    assert "flow@draft instead of flow, 2024-03 to 2024-03" in shown
    assert "3.00 USD now, 6.00 USD then (+3.00 USD)" in shown
    assert "billing accounts protect" in shown
    (acme, globex) = csv.DictReader(
        io.StringIO(metered.done("backtest", folder / "draft.json", *MONTHS, "--format", "csv").out)
    )
    assert (acme["account"], acme["change"], acme["hold_in_all"]) == ("acme", "300", "300")
    assert (globex["change"], globex["hold_in_all"]) == ("0", "")


def test_another_threshold(metered: Cli) -> None:
    data = metered.json("whatif", "--threshold", "0.5", "--threshold", "2", *MONTHS)
    low, high = data["thresholds"]
    assert (data["billable_now"], low["billable"], high["billable"]) == (6, 7, 0)
    assert [low["totals"][0][name] for name in ("current_net", "draft_net")] == [300, 400]
    assert [high["totals"][0][name] for name in ("current_net", "draft_net")] == [300, 0]
    shown = metered.done("whatif", "--threshold", "0.5", *MONTHS).out
    assert "More than 0.5 s: 7 billable runs (+1)" in shown and "4.00 USD then, 3.00 USD now" in shown
    rows = metered.done("whatif", "--threshold", "0.5", *MONTHS, "--format", "csv").out
    assert rows.startswith("threshold,account,") and "0.5,acme,USD" in rows


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("backtest", "draft.json"), "--months"),
        (("backtest", "draft.json", "--months", "2024-04:2024-03"), "ends before it begins"),
        (("backtest", "draft.json", "--months", "2024-13"), "is not a month"),
        (("backtest", "missing.json", "--months", "2024-03"), "missing.json"),
        (("backtest", "draft.json", "--months", "2024-03", "--instead-of", "x"), "not loaded"),
        (("whatif", "--threshold", "x", "--months", "2024-03"), "is not a threshold"),
        (("whatif", "--months", "2024-03"), "--threshold"),
    ],
)
def test_wrong_usage_is_one_line(metered: Cli, folder: Path, args: tuple[str, ...], says: str) -> None:
    given = [folder / each if each.endswith(".json") else each for each in args]
    refused = metered(*given)
    assert refused.code == 2 and says in refused.error
