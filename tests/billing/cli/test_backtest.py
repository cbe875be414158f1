"""billing backtest, billing whatif: the same figures in every form, and exit codes."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
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
    assert (acme["account"], acme["change"], acme["hold_in_all"]) == ("acme", "3.00", "3.00")
    assert (acme["billable"], acme["current"], acme["draft_net"]) == ("5", "3.00", "6.00")
    assert (globex["change"], globex["hold_in_all"]) == ("0.00", "")


def test_a_row_an_account_and_month(metered: Cli, folder: Path) -> None:
    """They add up to the rows of accounts, exactly; amounts are in the currency, as in every export."""
    later = [event(number + 20, duration=2, ended_at="2024-04-02T10:00:00Z") for number in range(3)]
    metered.done("ingest", "-", stdin=lines(*later))
    asked = (folder / "draft.json", "--months", "2024-03:2024-04")
    written = folder / "months.csv"
    shown = metered.done("backtest", *asked, "--csv-months", written)
    assert "flow@draft instead of flow" in shown.out
    rows = list(csv.DictReader(io.StringIO(written.read_text())))
    assert [(each["account"], each["month"]) for each in rows] == [
        ("acme", "2024-03"), ("acme", "2024-04"), ("globex", "2024-03")
    ]  # fmt: skip
    assert rows[1] == {
        "account": "acme", "currency": "USD", "month": "2024-04", "plan": "flow@v1",
        "plan_then": "flow@draft", "billable": "3", "current": "1.00", "draft": "3.00",
        "current_net": "1.00", "draft_net": "3.00", "change": "2.00",
    }  # fmt: skip
    for each in metered.json("backtest", *asked)["accounts"]:
        mine = [row for row in rows if row["account"] == each["account"]]
        for name in ("current", "draft", "current_net", "draft_net", "change"):
            assert sum(Decimal(row[name]) for row in mine) * 100 == each[name]


def test_amounts_have_the_places_of_their_currency(metered: Cli, folder: Path) -> None:
    yen = PLAN | {"plan": "yen", "currency": "JPY"}
    (folder / "yen.json").write_text(json.dumps(yen))
    metered.done("plans", "load", folder / "yen.json")
    metered.done(
        "accounts", "add", "nippon", "--plan", "yen", "--currency", "JPY", "--billing-from", "2024-03"
    )
    metered.done("ingest", "-", stdin=lines(*(event(n, account="nippon", duration=2) for n in range(5))))
    (folder / "yen.json").write_text(json.dumps(yen | {"version": "draft"}))
    out = metered.done("backtest", folder / "yen.json", *MONTHS, "--format", "csv").out
    (row,) = (each for each in csv.DictReader(io.StringIO(out)) if each["account"] == "nippon")
    assert (row["currency"], row["current"], row["draft"], row["change"]) == ("JPY", "3", "3", "0")


def test_another_threshold(metered: Cli) -> None:
    data = metered.json("whatif", "--threshold", "0.5", "--threshold", "2", *MONTHS)
    low, high = data["thresholds"]
    assert (data["billable_now"], low["billable"], high["billable"]) == (6, 7, 0)
    assert [low["totals"][0][name] for name in ("current_net", "draft_net")] == [300, 400]
    assert [high["totals"][0][name] for name in ("current_net", "draft_net")] == [300, 0]
    shown = metered.done("whatif", "--threshold", "0.5", *MONTHS).out
    assert "More than 0.5 s: 7 billable runs (+1)" in shown and "4.00 USD then, 3.00 USD now" in shown
    rows = metered.done("whatif", "--threshold", "0.5", *MONTHS, "--format", "csv").out
    assert rows.startswith("threshold,account,")
    acme = next(each for each in csv.DictReader(io.StringIO(rows)) if each["account"] == "acme")
    assert (acme["threshold"], acme["currency"], acme["current"], acme["draft"]) == (
        "0.5", "USD", "3.00", "4.00"
    )  # fmt: skip


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


@pytest.mark.parametrize("other", ["draft", "dearer"])
def test_two_drafts_of_one_plan_are_refused_in_a_sentence(metered: Cli, folder: Path, other: str) -> None:
    """Which would an account move to? Whether they have one version or two."""
    brackets = [{"up_to": None, "unit_price": "2.00"}]
    (folder / "other.json").write_text(json.dumps(DRAFT | {"version": other, "brackets": brackets}))
    refused = metered("backtest", folder / "draft.json", folder / "other.json", *MONTHS)
    assert refused.code == 2 and "\n" not in refused.error
    assert "would both take the place of flow" in refused.error
    assert "compare them one after the other" in refused.error


def test_a_draft_with_the_name_of_a_version_that_is_loaded(metered: Cli, folder: Path) -> None:
    (folder / "other.json").write_text(json.dumps(DRAFT | {"version": "v1"}))
    refused = metered("backtest", folder / "other.json", *MONTHS)
    assert refused.code == 2 and "flow@v1 is loaded already, with other content" in refused.error
    assert "give the draft another version" in refused.error
