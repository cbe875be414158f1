"""/v1/exports and the PDF of an invoice: the same files as the command line writes, for whom they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from python_calamine import CalamineWorkbook

from billing.exports.operation import MEDIA_TYPES, Format, export
from tests.billing.api.client import Client, assert_problem, running
from tests.billing.exports.world import busy_month
from tests.conftest import NewDatabase
from tests.world import OCTOBER

FORMATS: tuple[Format, ...] = ("csv", "parquet", "xlsx")


@pytest.fixture(scope="module")
def busy(sqlite_databases: NewDatabase) -> Iterator[Client]:
    with running(busy_month(sqlite_databases())) as client:
        yield client


@pytest.mark.parametrize("what", ["usage", "invoices", "contracts", "focus", "revenue", "journal"])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_month_as_a_file(busy: Client, what: str, format_: Format) -> None:
    answer = busy.get(f"/v1/exports/{what}?month=2026-10&format={format_}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[format_]
    assert answer.headers["content-disposition"] == f'attachment; filename="{what}-2026-10.{format_}"'
    wanted = len(list(export(busy.world.service, what, OCTOBER).rows))  # type: ignore[arg-type]
    if format_ == "csv":
        assert len(list(csv.reader(io.StringIO(answer.text)))) == wanted + 1
    elif format_ == "xlsx":
        book = CalamineWorkbook.from_filelike(io.BytesIO(answer.content))
        assert len(book.get_sheet_by_name(what).to_python()) == wanted + 1
    else:
        assert answer.content[:4] == answer.content[-4:] == b"PAR1"


def test_a_bound_key_sees_its_account(busy: Client) -> None:
    mine = busy.key("read", "globex").secret
    for what in ("usage", "invoices", "contracts", "focus"):
        answer = busy.get(f"/v1/exports/{what}?month=2026-10", key=mine)
        assert answer.status_code == 200 and "globex" in answer.text
        assert "acme" not in answer.text and "tokyo" not in answer.text
        assert busy.get(f"/v1/exports/{what}?month=2026-10&account=globex", key=mine).text == answer.text
    for what in ("revenue", "journal"):
        assert_problem(busy.get(f"/v1/exports/{what}?month=2026-10", key=mine), 404, field="what")
    assert_problem(busy.get("/v1/exports/usage?month=2026-10&account=acme", key=mine), 404, field="account")
    assert busy.get("/v1/exports/usage?month=2026-10", key=busy.key("ingest").secret).status_code == 403
    assert busy.get("/v1/exports/usage?month=2026-10", key=None).status_code == 401


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("usage", 422, "month"),
        ("usage?month=2026-13", 422, "month"),
        ("prices?month=2026-10", 422, "what"),
        ("usage?month=2026-10&format=doc", 422, "format"),
        ("usage?month=2026-10&account=nobody", 404, None),
    ],
)
def test_what_cannot_be_exported(busy: Client, query: str, status: int, field: str | None) -> None:
    answer = busy.get(f"/v1/exports/{query}")
    assert answer.status_code == status
    if field:
        assert_problem(answer, status, field=field)


def test_the_pdf_is_for_those_who_see_the_invoice(busy: Client) -> None:
    listed = busy.get("/v1/invoices?month=2026-10&account=acme").json()
    url = f"/v1/invoices/{listed[0]['number']}/pdf"
    answer = busy.get(url)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].endswith(f'filename="{listed[0]["number"]}.pdf"')
    assert answer.content.startswith(b"%PDF-")
    assert busy.get(url, key=busy.key("read", "acme").secret).content == answer.content
    assert_problem(busy.get(url, key=busy.key("read", "globex").secret), 404)


def test_the_revenue_report_of_a_month(busy: Client) -> None:
    """October: acme 2.51, and of September 1.25 more; the contract 1,677.77, of which 177.77 are earned."""
    data = busy.get("/v1/months/2026-10/revenue").json()
    assert not data["not_invoiced"] and not data["unsettled"] and data["ok"]
    yen, dollars = data["currencies"]
    assert (yen["currency"], yen["revenue"]["total"], yen["invoiced"]["of_month"]) == ("JPY", 9, 9)
    usage, discounts = dollars["revenue"]["Usage revenue"], dollars["discounts"]
    assert (usage, dollars["invoiced"]["contracts"], discounts) == (251, 167_777, {})
    assert all(each["ok"] for found in data["currencies"] for each in found["ties"])
    rolled = dollars["deferred"]["contracts"][0]
    assert (rolled["drawn_runs"], rolled["expired_runs"], rolled["drawn"] + rolled["expired"]) == (
        700,
        100,
        17_777,
    )
    assert (rolled["services"], rolled["closing"]) == (0, 150_000)
    only = busy.get("/v1/months/2026-10/revenue?account=tokyo").json()["currencies"]
    assert [each["currency"] for each in only] == ["JPY"]
    assert_problem(busy.get("/v1/months/2026-13/revenue"), 422, field="month")
    assert_problem(busy.get("/v1/months/2030-01/revenue"), 422, field="month")
    assert_problem(busy.get("/v1/months/2026-10/revenue?as_of=2026-09-30"), 422, field="as_of")
