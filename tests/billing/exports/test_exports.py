"""What is exported ties to what every other door says, to the run and the cent, in every format."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from billing.contract_invoices import report_contract
from billing.errors import NotFound
from billing.exports.csv_file import csv_lines, harmless
from billing.exports.operation import Format, What, export, write_file
from billing.exports.table import Kind, Table
from billing.exports.xlsx_file import write_xlsx
from billing.invoices import each_invoice
from billing.pricing.money import to_major
from metering.outcome import NOT_BILLED
from metering.period import format_instant
from tests.billing.exports.world import FORMULA, busy_month
from tests.conftest import NewDatabase
from tests.world import OCTOBER, World

WHATS: tuple[What, ...] = ("usage", "invoices", "contracts", "focus", "revenue", "journal")
FORMATS: tuple[Format, ...] = ("csv", "parquet", "xlsx")


@pytest.fixture(scope="module")
def world(sqlite_databases: NewDatabase) -> World:
    return busy_month(sqlite_databases())


def rows(world: World, what: What, account: str | None = None) -> list[dict[str, Any]]:
    table = export(world.service, what, OCTOBER, account=account)
    return [dict(zip(table.columns, each, strict=True)) for each in table.rows]


def test_usage_is_that_of_every_account(world: World) -> None:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    by_flow: Counter[tuple[str, str]] = Counter()
    for each in rows(world, "usage"):
        for name in ("billable", *(outcome.reason for outcome in NOT_BILLED)):
            found[each["account"]][name] += each[name]
        by_flow[each["workspace"], each["flow"]] += each["billable"]
    assert set(found) == {"acme", "globex", "quiet", "stranger", "tokyo"}
    for account, counts in found.items():
        usage = world.store.usage(account, OCTOBER.start, OCTOBER.end)
        assert counts == Counter({"billable": usage.counts.billable, **usage.counts.not_billed})
    assert by_flow["prod", FORMULA] == by_flow["dev", FORMULA] == 1


def test_invoices_are_those_that_are_shown(world: World) -> None:
    found = rows(world, "invoices")
    of = defaultdict(list)
    for each in found:
        of[each["invoice"]].append(each)
    invoices = list(each_invoice(world.engine, month=OCTOBER))
    assert list(of) == [each.id for each in invoices]
    assert len(invoices) == 4 + 1  # acme, globex, tokyo and quiet; and the contract's
    for invoice in invoices:
        lines = [each for each in of[invoice.id] if each["line"] is not None]
        assert [each["description"] for each in lines] == [line.description for line in invoice.lines]
        assert sum(each["amount"] for each in lines) == to_major(invoice.total, invoice.currency)
        assert [each["exact_amount"] for each in lines] == [line.exact_amount for line in invoice.lines]
        for each in of[invoice.id]:
            assert each["invoice_total"] == to_major(invoice.total, invoice.currency)
            assert (each["number"], each["invoice_billable"]) == (invoice.number, invoice.billable)
    kinds = {each["line_kind"] for each in found}
    assert kinds == {"usage", "adjustment", "credit", "instalment", "service", None}


def test_contracts_are_those_of_their_reports(world: World) -> None:
    (found,) = rows(world, "contracts")
    report, _ = report_contract(world.engine, world.store, "globex-1", date(2026, 10, 31))
    assert (found["committed"], found["used"], found["remaining"]) == (800, 700, 100)
    for name in ("committed", "used", "expired", "remaining", "on_demand"):
        assert found[name] == getattr(report, name)
    assert (found["month_drawn"], found["instalments_invoiced"]) == (700, Decimal("177.77"))


def test_of_one_account_there_is_nothing_of_others(world: World) -> None:
    for what in WHATS:
        if what == "revenue":
            continue  # figures of nobody
        table = rows(world, what, "globex")
        assert {each.get("account") or each["BillingAccountId"] for each in table} == {"globex"}
    with pytest.raises(NotFound, match="no account 'nobody'"):
        export(world.service, "usage", OCTOBER, account="nobody")
    assert rows(world, "invoices", "stranger") == []


def as_text(value: Any, kind: Kind) -> str:
    if value is None or value == "":
        return ""
    if kind is Kind.INSTANT:
        return format_instant(value)
    return harmless(value) if kind is Kind.TEXT else format(value, "f" if kind is Kind.NUMBER else "")


@pytest.mark.parametrize("what", WHATS)
def test_every_format_holds_the_same(world: World, what: What, tmp_path: Path) -> None:
    table = export(world.service, what, OCTOBER)
    wanted = list(table.rows)
    kinds = list(table.columns.values())
    for format_ in FORMATS:
        place = tmp_path / f"{what}.{format_}"
        count = write_file(export(world.service, what, OCTOBER), format_, place)
        assert count == len(wanted)
    with (tmp_path / f"{what}.csv").open(newline="", encoding="utf-8") as file:
        head, *shown = list(csv.reader(file))
    assert head == list(table.columns)
    assert shown == [[as_text(*each) for each in zip(row, kinds, strict=True)] for row in wanted]
    read = pq.read_table(tmp_path / f"{what}.parquet")
    assert read.column_names == head
    for number, row in enumerate(read.to_pylist()):
        for (name, value), given_, kind in zip(row.items(), wanted[number], kinds, strict=True):
            if kind is Kind.INSTANT and isinstance(value, datetime):
                assert value.timestamp() * 1_000_000 == given_, name
            else:
                assert value == given_, name
    sheet = CalamineWorkbook.from_path(str(tmp_path / f"{what}.xlsx")).get_sheet_by_name(what)
    heads, *cells = sheet.to_python(skip_empty_area=False)
    assert heads == head
    assert len(cells) == len(wanted)
    for row, given_row in zip(cells, wanted, strict=True):
        for cell, given_, kind in zip(row, given_row, kinds, strict=True):
            if given_ is None or given_ == "":
                assert cell == ""
            elif kind in (Kind.COUNT, Kind.NUMBER):
                assert round(Decimal(str(cell)), 12) == round(Decimal(given_), 12)
            else:
                assert str(cell) == (format_instant(given_) if kind is Kind.INSTANT else str(given_))
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".csv", ".parquet", ".xlsx"]


@example([" =1+1", "\t=1", "＝1", "-2+3"])
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"))))
def test_no_cell_of_a_csv_begins_like_a_formula(texts: list[str]) -> None:
    table = Table("t", {"a": Kind.TEXT, "b": Kind.COUNT}, iter([(text, -1) for text in texts]))
    shown = list(csv.reader(io.StringIO(b"".join(csv_lines(table)).decode(), newline="")))[1:]
    assert len(shown) == len(texts)
    for (cell, number), text in zip(shown, texts, strict=True):
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\n"))
        assert cell in (text, f"'{text}")
        assert number == "-1"


def test_rows_are_read_as_they_are_written() -> None:
    """A file of any length: what is not written yet was not asked for yet."""
    asked = 0

    def endless() -> Iterator[tuple[int]]:
        nonlocal asked
        while True:
            asked += 1
            yield (asked,)

    pieces = csv_lines(Table("t", {"a": Kind.COUNT}, endless()))
    next(pieces)
    assert asked == 0
    assert next(pieces).count(b"\n") == asked == 2_000


def test_a_number_that_excel_has_not_exactly_is_a_text(tmp_path: Path) -> None:
    numbers = [Decimal("12345678901234.5"), Decimal("0.00015625"), Decimal("1234567890123456.78")]
    table = Table("t", {"a": Kind.NUMBER}, iter([(each,) for each in numbers]))
    write_xlsx(table, tmp_path / "t.xlsx")
    cells = CalamineWorkbook.from_path(str(tmp_path / "t.xlsx")).get_sheet_by_index(0).to_python()
    assert [row[0] for row in cells[1:]] == [12345678901234.5, 0.00015625, "1234567890123456.78"]


def test_a_formula_is_a_text_in_excel(tmp_path: Path) -> None:
    table = Table("t", {"a": Kind.TEXT}, iter([(FORMULA,), ("http://x.example",)]))
    write_xlsx(table, tmp_path / "t.xlsx")
    book = CalamineWorkbook.from_path(str(tmp_path / "t.xlsx"))
    assert book.get_sheet_by_index(0).to_python()[1:] == [[FORMULA], ["http://x.example"]]


def test_a_file_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[int]]:
        yield (1,)
        raise RuntimeError("gone")

    (tmp_path / "t.csv").write_text("before")
    with pytest.raises(RuntimeError, match="gone"):
        write_file(Table("t", {"a": Kind.COUNT}, broken()), "csv", tmp_path / "t.csv")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("t.csv", "before")]
