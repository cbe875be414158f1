"""billing report."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

from tests.billing.cli.conftest import Cli
from tests.billing.cli.test_month import with_month


def test_the_revenue_of_a_month(cli: Cli, folder: Path) -> None:
    month = with_month(cli, folder)
    before = month("report", "revenue", "2024-03")
    assert before.code == 1
    assert "not invoiced: acme ran task runs in 2024-03; bill it: billing run 2024-03" in before.out
    month.done("run", "2024-03")
    shown = month.done("report", "revenue", "2024-03")
    assert "All 15 figures that the journal has, too, agree with it to the cent." in shown.out
    data = month.json("report", "revenue", "2024-03", "--as-of", "2024-03-31")
    (dollars,) = data["currencies"]
    assert dollars["revenue"]["total"] == dollars["unbilled_usage"] == dollars["invoiced"]["of_month"] > 0
    month.done("export", "journal", "--month", "2024-03")
    with (folder / "journal-2024-03.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sides = [sum(Decimal(each[side] or 0) for each in rows) for side in ("debit", "credit")]
    assert sides[0] == sides[1] == Decimal(dollars["revenue"]["total"]) / 100


def test_what_is_not_a_month_to_report(cli: Cli, folder: Path) -> None:
    with_month(cli, folder)
    wrong = cli("report", "revenue", "9000-01")
    assert (wrong.code, wrong.err.strip()) == (2, "billing: 9000-01 has not begun; report a month that has")
    assert cli("report", "revenue", "2024-03", "--as-of", "2024-02-29").code == 2
    assert cli("report", "revenue", "march").code == 2
    nobody = cli("report", "revenue", "2024-03", "--account", "nobody")
    assert nobody.code != 0 and "nobody" in nobody.err
