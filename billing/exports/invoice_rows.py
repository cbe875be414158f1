"""Invoices of a month: a row a line. An invoice without lines has a row without a line, so that it is not
lost; what is of the whole invoice stands in each of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from billing.exports.table import Columns, Kind, Row
from billing.pricing.line import LineKind
from billing.pricing.money import to_major
from billing.repository.invoices import Invoice

_ABOUT_RUNS = (LineKind.USAGE, LineKind.ON_DEMAND, LineKind.ADJUSTMENT)

INVOICE_COLUMNS: Columns = {
    "invoice": Kind.TEXT,
    "number": Kind.TEXT,
    "account": Kind.TEXT,
    "customer": Kind.TEXT,
    "kind": Kind.TEXT,
    "month": Kind.TEXT,
    "status": Kind.TEXT,
    "issued_at": Kind.INSTANT,
    "currency": Kind.TEXT,
    "plan": Kind.TEXT,
    "contract": Kind.TEXT,
    "line": Kind.COUNT,
    "line_kind": Kind.TEXT,
    "description": Kind.TEXT,
    "task_runs": Kind.COUNT,
    "unit_price": Kind.NUMBER,
    "exact_amount": Kind.NUMBER,
    "amount": Kind.NUMBER,
    "adjusts_month": Kind.TEXT,
    "invoice_total": Kind.NUMBER,
    "invoice_paid": Kind.NUMBER,
    "invoice_billable": Kind.COUNT,
    "run_list_sha256": Kind.TEXT,
}


def invoice_rows(invoices: Iterable[Invoice]) -> Iterator[Row]:
    """In the order of the invoices and of their lines, which count from 1."""
    for invoice in invoices:
        code = invoice.currency
        before = (
            invoice.id,
            invoice.number,
            invoice.account,
            invoice.bill_to.get("name") or None,
            invoice.kind,
            str(invoice.month),
            invoice.status,
            invoice.issued_at if invoice.number else None,
            code,
            invoice.plan,
            invoice.contract,
        )
        after = (
            to_major(invoice.total, code),
            to_major(invoice.amount_paid, code),
            invoice.billable,
            invoice.run_list_sha256,
        )
        for place, line in enumerate(invoice.lines, 1):
            yield (
                *before,
                place,
                line.kind.value,
                line.description,
                line.quantity if line.kind in _ABOUT_RUNS else None,
                line.unit_price,
                line.exact_amount,
                to_major(line.amount, code),
                None if line.month is None else str(line.month),
                *after,
            )
        if not invoice.lines:
            yield (*before, *[None] * 8, *after)
