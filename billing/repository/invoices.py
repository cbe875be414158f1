"""Invoices, their lines, and the numbers they are given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from billing.pricing.line import Line, LineKind
from billing.tables import invoice_lines, invoice_numbers, invoices
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it is stored. `replaces` is the id of the void invoice that it was issued instead of;
    `usage_by_day` maps `YYYY-MM-DD` to counts by outcome, `billable` among
    them. `cutoff` is a position in the order of commits; `cutoff_at` the clock's time of that commit."""

    id: str
    account: str
    kind: str
    month: Month
    number: str | None
    status: str
    currency: str
    plan: str
    rule_version: str
    run_id: str
    cutoff: int
    cutoff_at: int | None
    billable: int
    not_billed: Mapping[str, int]
    usage_by_day: Mapping[str, Mapping[str, int]]
    run_list_sha256: str
    lines: tuple[Line, ...]
    total: int
    amount_paid: int
    created_at: int
    issued_at: int | None
    replaces: str | None = None
    stripe_invoice_id: str | None = None
    stripe_status: str | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None


def live_usage_invoice(connection: sa.Connection, account_id: str, month: Month) -> Invoice | None:
    """The one usage invoice of an account and month that is not void, a draft included."""
    query = sa.select(invoices).where(
        invoices.c.account_id == account_id,
        invoices.c.month == str(month),
        invoices.c.kind == "usage",
        invoices.c.status != "void",
    )
    found = _load(connection, query)
    return found[0] if found else None


def invoiced_since(connection: sa.Connection, month: Month) -> set[tuple[str, Month]]:
    """The accounts and months, from one month on, that have a usage invoice, void ones too, drafts not."""
    query = sa.select(invoices.c.account_id, invoices.c.month).where(
        invoices.c.month >= str(month), invoices.c.kind == "usage", invoices.c.status != "draft"
    )
    return {(row.account_id, Month.parse(row.month)) for row in connection.execute(query)}


def last_void(connection: sa.Connection, account_id: str, month: Month) -> str | None:
    """The id of the usage invoice of an account and month that was voided last."""
    query = sa.select(invoices.c.id).where(
        invoices.c.account_id == account_id,
        invoices.c.month == str(month),
        invoices.c.kind == "usage",
        invoices.c.status == "void",
    )
    return connection.scalar(query.order_by(invoices.c.number.desc()).limit(1))


def live_after(connection: sa.Connection, account_id: str, month: Month) -> list[Invoice]:
    """The usage invoices of an account for later months, drafts and void ones left out."""
    query = sa.select(invoices).where(
        invoices.c.account_id == account_id,
        invoices.c.month > str(month),
        invoices.c.kind == "usage",
        invoices.c.status.not_in(("draft", "void")),
    )
    return _load(connection, query.order_by(invoices.c.month))


def months_with_usage_invoice(connection: sa.Connection, account_id: str) -> set[Month]:
    """The months of an account that were run: those with an invoice that is more than a draft."""
    query = sa.select(invoices.c.month).where(
        invoices.c.account_id == account_id, invoices.c.kind == "usage", invoices.c.status != "draft"
    )
    return {Month.parse(row.month) for row in connection.execute(query)}


def save(connection: sa.Connection, invoice: Invoice) -> bool:
    """Store an invoice that is new, or that replaces the draft with its id. False, and nothing is written, if
    the account and month got another live invoice meanwhile."""
    delete_draft(connection, invoice.id)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(invoices).values(**_columns(invoice)).on_conflict_do_nothing()
    if connection.scalar(statement.returning(invoices.c.id)) is None:
        return False
    rows = [
        {"invoice_id": invoice.id, "position": position, **_line_columns(line)}
        for position, line in enumerate(invoice.lines)
    ]
    if rows:
        connection.execute(invoice_lines.insert(), rows)
    return True


def delete_draft(connection: sa.Connection, invoice_id: str) -> None:
    """Only a draft can be deleted; anything else stays as it is."""
    draft = sa.select(invoices.c.id).where(invoices.c.id == invoice_id, invoices.c.status == "draft")
    connection.execute(invoice_lines.delete().where(invoice_lines.c.invoice_id.in_(draft)))
    connection.execute(invoices.delete().where(invoices.c.id == invoice_id, invoices.c.status == "draft"))


def give_number(connection: sa.Connection, invoice: Invoice) -> Invoice:
    """Take the next number of the invoice's month. Within the transaction that finalizes: if that rolls back,
    the number was never taken."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = (
        insert(invoice_numbers)
        .values(prefix=str(invoice.month), last=1)
        .on_conflict_do_update(
            index_elements=[invoice_numbers.c.prefix], set_={"last": invoice_numbers.c.last + 1}
        )
        .returning(invoice_numbers.c.last)
    )
    number = f"{invoice.month}-{connection.scalar(statement):06d}"
    connection.execute(invoices.update().where(invoices.c.id == invoice.id).values(number=number))
    return replace(invoice, number=number)


def get(connection: sa.Connection, id_or_number: str) -> Invoice | None:
    """By our id or by the invoice's number."""
    query = sa.select(invoices).where((invoices.c.id == id_or_number) | (invoices.c.number == id_or_number))
    found = _load(connection, query)
    return found[0] if found else None


def by_stripe_id(connection: sa.Connection, stripe_invoice_id: str) -> Invoice | None:
    found = _load(connection, sa.select(invoices).where(invoices.c.stripe_invoice_id == stripe_invoice_id))
    return found[0] if found else None


def search(
    connection: sa.Connection,
    *,
    account: str | None = None,
    month: Month | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Invoice]:
    """Invoices in the order of their ids, which is the order in which they were made."""
    query = sa.select(invoices).order_by(invoices.c.id)
    if account is not None:
        query = query.where(invoices.c.account_id == account)
    if month is not None:
        query = query.where(invoices.c.month == str(month))
    if status is not None:
        query = query.where(invoices.c.status == status)
    if after is not None:
        query = query.where(invoices.c.id > after)
    return _load(connection, query if limit is None else query.limit(limit))


def uses_plan(connection: sa.Connection, plan_id: str) -> bool:
    """Whether an invoice was priced by this version."""
    return connection.scalar(sa.select(sa.exists().where(invoices.c.plan == plan_id))) or False


def update(connection: sa.Connection, invoice_id: str, **changes: Any) -> None:
    """Change what may change after finalization: status, payment, and what Stripe calls the invoice."""
    allowed = {
        "status", "amount_paid", "stripe_invoice_id", "stripe_status", "hosted_invoice_url", "invoice_pdf"
    }  # fmt: skip
    assert changes.keys() <= allowed, f"a finalized invoice never changes: {changes.keys() - allowed}"
    connection.execute(invoices.update().where(invoices.c.id == invoice_id).values(**changes))


def _columns(invoice: Invoice) -> dict[str, Any]:
    columns = {column.name: getattr(invoice, column.name, None) for column in invoices.columns}
    return columns | {
        "account_id": invoice.account,
        "month": str(invoice.month),
        "not_billed": json.dumps(dict(invoice.not_billed)),
        "usage_by_day": json.dumps({day: dict(counts) for day, counts in invoice.usage_by_day.items()}),
    }


def _line_columns(line: Line) -> dict[str, Any]:
    return {
        "kind": line.kind.value,
        "description": line.description,
        "quantity": line.quantity,
        "unit_price": None if line.unit_price is None else format(line.unit_price, "f"),
        "exact_amount": format(line.exact_amount, "f"),
        "amount": line.amount,
    }


def _load(connection: sa.Connection, query: sa.Select[Any]) -> list[Invoice]:
    rows = connection.execute(query).all()
    lines = _lines(connection, [row.id for row in rows])
    return [_invoice(row, tuple(lines[row.id])) for row in rows]


def _invoice(row: sa.Row[Any], lines: tuple[Line, ...]) -> Invoice:
    values = dict(row._mapping)
    account = values.pop("account_id")
    return Invoice(
        **values
        | {
            "account": account,
            "month": Month.parse(row.month),
            "not_billed": json.loads(row.not_billed),
            "usage_by_day": json.loads(row.usage_by_day),
            "lines": lines,
        }
    )


def _lines(connection: sa.Connection, ids: list[str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {invoice_id: [] for invoice_id in ids}
    for part in _parts(ids):
        query = (
            sa.select(invoice_lines)
            .where(invoice_lines.c.invoice_id.in_(part))
            .order_by(invoice_lines.c.invoice_id, invoice_lines.c.position)
        )
        for row in connection.execute(query):
            found[row.invoice_id].append(
                Line(
                    LineKind(row.kind),
                    row.description,
                    row.quantity,
                    None if row.unit_price is None else Decimal(row.unit_price),
                    Decimal(row.exact_amount),
                    row.amount,
                )
            )
    return found


def _parts(ids: list[str], size: int = 1000) -> Iterable[list[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
