"""XLSX, by XlsxWriter, row by row: memory stays flat, whatever the length.

A cell that is a number is one in Excel as long as Excel has it exactly: fifteen digits. One with more is
written as text. Texts are strings, never formulas or links.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from billing.errors import Invalid
from billing.exports.table import Kind, Table
from billing.pricing.money import plain
from metering.period import format_instant

_MOST_ROWS = 1_048_575  # below the header, in Excel
_DIGITS = 15
_LONGEST = 32_767


def write_xlsx(table: Table, place: Path) -> None:
    """Raises Invalid where there are more rows than a sheet has."""
    import xlsxwriter

    made = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "tmpdir": None}
    with xlsxwriter.Workbook(place, made) as book:
        sheet = book.add_worksheet(table.name)
        bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(table.columns) - 1, 16)
        for place_, name in enumerate(table.columns):
            sheet.write_string(0, place_, name, bold)
        kinds = list(table.columns.values())
        for number, row in enumerate(table.rows, 1):
            if number > _MOST_ROWS:
                raise Invalid(
                    f"{table.name} has more than {_MOST_ROWS:,} rows, more than an XLSX holds; take csv",
                    field="format",
                )
            for place_, (value, kind) in enumerate(zip(row, kinds, strict=True)):
                if value is not None:
                    _write(sheet, number, place_, value, kind, day)


def _write(sheet: Any, row: int, column: int, value: Any, kind: Kind, day: Any) -> None:
    match kind:
        case Kind.DAY:
            sheet.write_datetime(row, column, value, day)
        case Kind.INSTANT:
            sheet.write_string(row, column, format_instant(value))
        case Kind.COUNT | Kind.NUMBER:
            exact = Decimal(value)
            if len(exact.as_tuple().digits) <= _DIGITS:
                sheet.write_number(row, column, float(exact))
            else:
                sheet.write_string(row, column, plain(exact))
        case Kind.TEXT:
            sheet.write_string(row, column, value[:_LONGEST])
