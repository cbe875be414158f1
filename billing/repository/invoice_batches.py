"""Invoices of many accounts at once: what a billing run asks before it bills them, and stores after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from billing.pricing.line import Line
from billing.repository.invoices import Invoice, columns_of, line_columns, lines_of
from billing.repository.numbers import next_number
from billing.tables import invoice_lines, invoices
from metering.period import Month


@dataclass(frozen=True, slots=True)
class LiveInvoice:
    """As much of a usage invoice as other invoices depend on."""

    id: str
    month: Month
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class MonthState:
    """How an account stands with a month: the id of its draft, whether it is invoiced, and the id of the
    usage invoice that was voided last. `months_run` are all months that have an invoice which is more than a
    draft, be it void."""

    draft: str | None = None
    invoiced: bool = False
    last_void: str | None = None
    months_run: frozenset[Month] = frozenset()


def live(
    connection: sa.Connection, account_ids: Sequence[str], *, before: int | None = None
) -> dict[str, list[LiveInvoice]]:
    """The usage invoices that are in the accounts' books and not void, by month; as the entry with the number
    `before` found them, where given."""
    query = sa.select(invoices.c.id, invoices.c.account_id, invoices.c.month).where(
        invoices.c.account_id.in_(account_ids), invoices.c.kind == "usage", invoices.c.entry.is_not(None)
    )
    if before is None:
        query = query.where(invoices.c.status != "void")
    else:
        query = query.where(
            invoices.c.entry < before,
            sa.or_(invoices.c.status != "void", invoices.c.void_entry > before),
        )
    rows = connection.execute(query.order_by(invoices.c.month)).all()
    lines = lines_of(connection, [row.id for row in rows])
    found: dict[str, list[LiveInvoice]] = {account_id: [] for account_id in account_ids}
    for row in rows:
        found[row.account_id].append(LiveInvoice(row.id, Month.parse(row.month), tuple(lines[row.id])))
    return found


def month_states(
    connection: sa.Connection, account_ids: Sequence[str], month: Month
) -> dict[str, MonthState]:
    """How accounts stand with a month."""
    columns = (invoices.c.id, invoices.c.account_id, invoices.c.month, invoices.c.status)
    query = sa.select(*columns).where(invoices.c.account_id.in_(account_ids), invoices.c.kind == "usage")
    rows: dict[str, list[Any]] = {account_id: [] for account_id in account_ids}
    for row in connection.execute(query.order_by(invoices.c.number)):
        rows[row.account_id].append(row)
    return {account_id: _month_state(rows[account_id], month) for account_id in account_ids}


def _month_state(rows: list[Any], month: Month) -> MonthState:
    """`rows` in the order of their numbers."""
    if not rows:
        return MonthState()
    mine = [row for row in rows if row.month == str(month)]
    draft, last_void = None, None
    for row in mine:
        if row.status == "draft":
            draft = row.id
        elif row.status == "void":
            last_void = row.id
    return MonthState(
        draft,
        any(row.status not in ("draft", "void") for row in mine),
        last_void,
        frozenset(Month.parse(row.month) for row in rows if row.status != "draft"),
    )


def issue(connection: sa.Connection, month: Month, drafted: Sequence[Invoice]) -> list[Invoice]:
    """Store invoices of a month, with the next numbers, in the place of the drafts with their ids. Raises
    sqlalchemy.exc.IntegrityError if one of the accounts got another live invoice meanwhile."""
    first = next_number(connection, str(month), len(drafted))
    numbered = [
        replace(invoice, number=f"{month}-{number:06d}")
        for number, invoice in enumerate(drafted, start=first)
    ]
    connection.execute(invoices.insert(), [columns_of(invoice) for invoice in numbered])
    lines = [
        line_columns(invoice.id, position, line)
        for invoice in numbered
        for position, line in enumerate(invoice.lines)
    ]
    if lines:
        connection.execute(invoice_lines.insert(), lines)
    return numbered


def delete_drafts(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Only drafts can be deleted; anything else stays as it is."""
    drafts = sa.select(invoices.c.id).where(invoices.c.id.in_(list(ids)), invoices.c.status == "draft")
    connection.execute(invoice_lines.delete().where(invoice_lines.c.invoice_id.in_(drafts)))
    connection.execute(invoices.delete().where(invoices.c.id.in_(list(ids)), invoices.c.status == "draft"))
