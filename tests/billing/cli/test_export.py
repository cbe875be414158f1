"""billing export, and the PDF of an invoice."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.billing.cli.conftest import Cli
from tests.billing.cli.test_month import with_month


@pytest.fixture
def month(cli: Cli, folder: Path) -> Cli:
    made = with_month(cli, folder)
    made.done("run", "2024-03")
    return made


def test_the_sums_are_those_of_usage_and_invoices(month: Cli, folder: Path) -> None:
    month.done("export", "usage", "--month", "2024-03", "--format", "csv", "-o", "u.csv")
    with (folder / "u.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    usage = month.json("usage", "acme", "--month", "2024-03")
    mine = [each for each in rows if each["account"] == "acme"]
    assert sum(int(each["billable"]) for each in mine) == usage["billable"] == 12
    assert sum(int(each["failed"]) for each in mine) == usage["not_billed"]["failed"] == 1
    said = month.json("export", "invoices", "--month", "2024-03")
    assert said["file"] == "invoices-2024-03.csv"
    with (folder / "invoices-2024-03.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert said["rows"] == len(lines)
    total = month.json("invoices", "show", lines[0]["number"])["total"]
    amounts = [each["amount"] for each in lines if each["number"] == lines[0]["number"]]
    assert sum(round(float(each) * 100) for each in amounts) == total == 2468


@pytest.mark.parametrize("what", ["usage", "invoices", "contracts", "focus", "revenue", "journal"])
@pytest.mark.parametrize("form", ["csv", "parquet", "xlsx"])
def test_every_export_in_every_format(month: Cli, folder: Path, what: str, form: str) -> None:
    shown = month.done("export", what, "--month", "2024-03", "--format", form)
    assert f"wrote {what}-2024-03.{form}: " in shown.out
    assert (folder / f"{what}-2024-03.{form}").stat().st_size


def test_an_invoice_as_a_pdf(month: Cli, folder: Path) -> None:
    shown = month.done("invoices", "pdf", "2024-03-000001")
    made = (folder / "2024-03-000001.pdf").read_bytes()
    assert f"wrote 2024-03-000001.pdf, {len(made):,} bytes" in shown.out
    assert "set BILLING_SELLER_NAME" in shown.err
    assert month("invoices", "pdf", "2024-03-000001", "-o", "-").bytes == made
    month.env["BILLING_SELLER_NAME"] = "Us Inc."
    named = month.json("invoices", "pdf", "2024-03-000001", "-o", "other.pdf")
    assert named == {"file": "other.pdf", "bytes": (folder / "other.pdf").stat().st_size, "missing": None}
    assert (folder / "other.pdf").read_bytes() != made


def test_a_name_that_no_font_has_is_told(month: Cli, folder: Path) -> None:
    month.done("accounts", "update", "acme", "--name", "\U0010fffd")
    month.done("invoices", "void", "2024-03-000001", "--reason", "name")
    month.done("run", "2024-03")
    shown = month("invoices", "pdf", "2024-03-000003")
    assert shown.code == 1 and "No font here has" in shown.err
    assert (folder / "2024-03-000003.pdf").exists()
