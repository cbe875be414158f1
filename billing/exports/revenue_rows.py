"""The journal of a month, a row a posting, and its revenue report, a row a figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from billing.exports.table import Columns, Kind, Row
from billing.pricing.money import to_major
from billing.revenue.ledger import Entry
from billing.revenue.report import RevenueReport

JOURNAL_COLUMNS: Columns = {
    "entry": Kind.TEXT,
    "date": Kind.DAY,
    "kind": Kind.TEXT,
    "account": Kind.TEXT,
    "document": Kind.TEXT,
    "contract": Kind.TEXT,
    "ledger_code": Kind.TEXT,
    "ledger_account": Kind.TEXT,
    "debit": Kind.NUMBER,
    "credit": Kind.NUMBER,
    "currency": Kind.TEXT,
    "description": Kind.TEXT,
}
REVENUE_COLUMNS: Columns = {
    "month": Kind.TEXT,
    "as_of": Kind.DAY,
    "currency": Kind.TEXT,
    "section": Kind.TEXT,
    "line": Kind.TEXT,
    "quantity": Kind.COUNT,
    "amount": Kind.NUMBER,
}
# Figures that are counted, and no amounts.
_COUNTS = ("invoices", "invoices_of_month", "notes", "payments")
_ROLLED = ("drawn", "expired")


def journal_rows(entries: Iterable[Entry]) -> Iterator[Row]:
    """Each posting stands on one side: debit or credit, in major units, and never below 0."""
    for entry in entries:
        for ledger, amount in entry.postings:
            value = to_major(abs(amount), entry.currency)
            sides = (value, None) if amount > 0 else (None, value)
            yield (
                entry.id,
                entry.on,
                entry.kind.value,
                entry.customer,
                entry.document,
                entry.contract,
                ledger.code,
                ledger.title,
                *sides,
                entry.currency,
                entry.description,
            )


def revenue_rows(report: RevenueReport) -> Iterator[Row]:
    """The report in the order of its JSON; a contract's figures are lines `CONTRACT closing` and so on."""
    data = report.to_data()
    for found in data["currencies"]:
        code = found["currency"]
        for section, line, quantity, amount in _lines(found):
            value = None if amount is None else to_major(amount, code)
            yield (data["month"], report.window.as_of, code, section, line, quantity, value)


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str, int | None, int | None]]:
    for section, values in found.items():
        if section == "unbilled_usage":
            yield section, "closing", None, values
        elif section == "not_billed":
            for reason, runs in values["runs"].items():
                yield section, reason, runs, values["value"][reason]
        elif section == "ties":
            for tie in values:
                yield section, f"{tie['name']}: documents", None, tie["documents"]
                yield section, f"{tie['name']}: journal", None, tie["journal"]
        elif section != "currency":
            yield from _section(section, values)


def _section(section: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str, int | None, int | None]]:
    for line, value in values.items():
        if line == "credit":
            yield from ((section, f"credit {kind}", None, amount) for kind, amount in value.items())
        elif line == "contracts" and section == "deferred":
            for each in value:
                for name in ("opening", "invoiced", "voided", "drawn", "expired", "services", "closing"):
                    runs = each[f"{name}_runs"] if name in _ROLLED else None
                    yield section, f"{each['contract']} {name}", runs, each[name]
        elif line in _COUNTS:
            yield section, line, value, None
        else:
            yield section, line, None, value
