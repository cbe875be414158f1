"""What the doors call: a month's export as a table, and a table as a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from billing.accounts import show_account
from billing.app import Service
from billing.exports.contract_rows import CONTRACT_COLUMNS, contract_rows
from billing.exports.csv_file import csv_lines
from billing.exports.focus import FOCUS_COLUMNS
from billing.exports.focus_rows import focus_rows
from billing.exports.invoice_rows import INVOICE_COLUMNS, invoice_rows
from billing.exports.revenue_rows import JOURNAL_COLUMNS, REVENUE_COLUMNS, journal_rows, revenue_rows
from billing.exports.table import Row, Table
from billing.exports.usage_rows import USAGE_COLUMNS, usage_rows
from billing.invoices import each_invoice
from billing.revenue.operation import journal_entries, revenue_report
from metering.period import Month, day_of

What = Literal["usage", "invoices", "contracts", "focus", "revenue", "journal"]
Format = Literal["csv", "parquet", "xlsx"]

MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def export(service: Service, what: What, month: Month, *, account: str | None = None) -> Table:
    """The rows come as they are read. Raises NotFound for an account that nobody knows."""
    if account is not None and not service.store.has_account(account):
        show_account(service.engine, account)
    today = day_of(service.now())
    engine, store = service.engine, service.store
    match what:
        case "usage":
            return Table(what, USAGE_COLUMNS, usage_rows(store, month, account))
        case "invoices":
            found = each_invoice(engine, account=account, month=month)
            return Table(what, INVOICE_COLUMNS, invoice_rows(found))
        case "contracts":
            return Table(what, CONTRACT_COLUMNS, contract_rows(engine, store, month, today, account))
        case "focus":
            rows = focus_rows(engine, store, service.settings, month, today, account)
            return Table(what, FOCUS_COLUMNS, rows)
        case "revenue":
            report = revenue_report(service, month, account=account)
            return Table(what, REVENUE_COLUMNS, revenue_rows(report))
        case "journal":
            entries = journal_entries(service, month, account=account)
            return Table(what, JOURNAL_COLUMNS, journal_rows(entries))


def file_name(what: What, month: Month, format: Format) -> str:
    """`usage-2026-10.csv`"""
    return f"{what}-{month}.{format}"


def write_file(table: Table, format: Format, place: Path) -> int:
    """How many rows were written. Whole or not at all: written beside its place, and put there when it is
    done. Raises Invalid for a format that cannot be written here, or that does not hold so much; OSError."""
    beside = place.with_name(f"{place.name}.{os.getpid()}.part")
    rows = _Counted(table.rows)
    try:
        _WRITERS[format](replace(table, rows=rows), beside)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
    return rows.count


class _Counted(Iterator[Row]):
    """Counts what is read of it."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __next__(self) -> Row:
        row = next(self._rows)
        self.count += 1
        return row


@contextmanager
def written(table: Table, format: Format) -> Iterator[Path]:
    """A file that is there for as long as it is read."""
    with tempfile.TemporaryDirectory(prefix="billing-export-") as folder:
        place = Path(folder) / f"export.{format}"
        write_file(table, format, place)
        yield place


def _write_csv(table: Table, place: Path) -> None:
    with place.open("wb") as file:
        file.writelines(csv_lines(table))


def _write_xlsx(table: Table, place: Path) -> None:
    from billing.exports.xlsx_file import write_xlsx

    write_xlsx(table, place)


def _write_parquet(table: Table, place: Path) -> None:
    from billing.exports.parquet_file import write_parquet

    write_parquet(table, place)


_WRITERS: dict[Format, Callable[[Table, Path], None]] = {
    "csv": _write_csv,
    "xlsx": _write_xlsx,
    "parquet": _write_parquet,
}
