"""Invoices, their lines, and the numbers they are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing.pricing.line import Line, LineKind
from billing.repository.lists import Page, having, page_of
from billing.repository.numbers import next_number
from billing.repository.parts import parts
from billing.repository.stripe_addresses import Check, check_of
from billing.tables import invoice_lines, invoices
from metering.database import insert_into
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it is stored. `usage_by_day` maps `YYYY-MM-DD` to counts by outcome, `billable` among
    them. `cutoff` is a position in the order of commits; `cutoff_at` the clock's time of that commit.
    `contract` is the id of the contract under which the month was, and `drawn` the part of `billable` that
    its committed runs served.

    An invoice of kind `contract` has no run, no cutoff, no usage and no run list; its `cutoff_at` is the
    start of the day up to which it holds what is due, its `month` that of its issue.

    `entry` is its place in the account's books, `void_entry` that of its voiding. `replaces` is the id of the
    void invoice that it was issued instead of. `bill_to` says who it was made out to, as of issue;
    `approved_by` who approved the draft that it was, None where a billing run finalized it. What is stored as
    `hosted_invoice_url` or `invoice_pdf` and leads elsewhere than to Stripe is None: no door shows it."""

    id: str
    account: str
    kind: str
    month: Month
    number: str | None
    status: str
    currency: str
    plan: str
    rule_version: str
    run_id: str | None
    cutoff: int | None
    cutoff_at: int | None
    billable: int
    not_billed: Mapping[str, int]
    usage_by_day: Mapping[str, Mapping[str, int]]
    run_list_sha256: str | None
    lines: tuple[Line, ...]
    total: int
    amount_paid: int
    created_at: int
    issued_at: int | None
    replaces: str | None = None
    contract: str | None = None
    drawn: int | None = None
    entry: int | None = None
    void_entry: int | None = None
    voided_at: int | None = None
    void_reason: str | None = None
    bill_to: Mapping[str, Any] = field(default_factory=dict)
    approved_by: str | None = None
    stripe_invoice_id: str | None = None
    stripe_status: str | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None

    @property
    def pay_at(self) -> str | None:
        """Where it is paid, while it is to be."""
        return self.hosted_invoice_url if self.status == "open" else None


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


def last_void(connection: sa.Connection, account_id: str, month: Month) -> str | None:
    """The id of the usage invoice of an account and month that was voided last."""
    query = sa.select(invoices.c.id).where(
        invoices.c.account_id == account_id,
        invoices.c.month == str(month),
        invoices.c.kind == "usage",
        invoices.c.status == "void",
    )
    return connection.scalar(query.order_by(invoices.c.number.desc()).limit(1))


def live_usage_invoices(
    connection: sa.Connection, account_id: str, *, before: int | None = None
) -> list[Invoice]:
    """The usage invoices of an account that are in its books and not void, by month; as the entry with the
    number `before` found them, where given."""
    query = sa.select(invoices).where(
        invoices.c.account_id == account_id, invoices.c.kind == "usage", invoices.c.entry.is_not(None)
    )
    if before is None:
        query = query.where(invoices.c.status != "void")
    else:
        query = query.where(
            invoices.c.entry < before,
            sa.or_(invoices.c.status != "void", invoices.c.void_entry > before),
        )
    return _load(connection, query.order_by(invoices.c.month))


def contract_invoices(
    connection: sa.Connection, contract_id: str, *, before: int | None = None
) -> list[Invoice]:
    """The invoices of kind `contract` that are not void, oldest first; as the entry with the number `before`
    found them, where given."""
    query = sa.select(invoices).where(invoices.c.contract_id == contract_id, invoices.c.kind == "contract")
    if before is None:
        query = query.where(invoices.c.status != "void")
    else:
        query = query.where(
            invoices.c.entry < before,
            sa.or_(invoices.c.status != "void", invoices.c.void_entry > before),
        )
    return _load(connection, query.order_by(invoices.c.entry))


def was_contract_invoiced(connection: sa.Connection, contract_id: str) -> bool:
    """Whether any invoice that was issued, void ones too, names the contract."""
    issued = sa.exists().where(invoices.c.contract_id == contract_id, invoices.c.status != "draft")
    return connection.scalar(sa.select(issued)) or False


def delete_drafts_under(connection: sa.Connection, contract_id: str) -> None:
    """Delete the drafts of months that were under a contract."""
    drafts = sa.select(invoices.c.id).where(
        invoices.c.contract_id == contract_id, invoices.c.status == "draft"
    )
    for draft_id in connection.scalars(drafts).all():
        delete_draft(connection, draft_id)


def accounts_invoiced_before(connection: sa.Connection, month: Month) -> set[str]:
    """The accounts with a live usage invoice of an earlier month: those that a month may have to adjust."""
    query = sa.select(invoices.c.account_id).where(
        invoices.c.month < str(month),
        invoices.c.kind == "usage",
        invoices.c.status.not_in(("draft", "void")),
    )
    return set(connection.scalars(query.distinct()))


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
    statement = insert_into(connection, invoices).values(**columns_of(invoice)).on_conflict_do_nothing()
    if connection.scalar(statement.returning(invoices.c.id)) is None:
        return False
    rows = [line_columns(invoice.id, position, line) for position, line in enumerate(invoice.lines)]
    if rows:
        connection.execute(invoice_lines.insert(), rows)
    return True


def delete_draft(connection: sa.Connection, invoice_id: str) -> None:
    """Only a draft can be deleted; anything else stays as it is."""
    draft = sa.select(invoices.c.id).where(invoices.c.id == invoice_id, invoices.c.status == "draft")
    connection.execute(invoice_lines.delete().where(invoice_lines.c.invoice_id.in_(draft)))
    connection.execute(invoices.delete().where(invoices.c.id == invoice_id, invoices.c.status == "draft"))


def give_number(connection: sa.Connection, invoice: Invoice) -> Invoice:
    """Take the next number of the invoice's month, within the transaction that finalizes."""
    number = f"{invoice.month}-{next_number(connection, str(invoice.month)):06d}"
    connection.execute(invoices.update().where(invoices.c.id == invoice.id).values(number=number))
    return replace(invoice, number=number)


def get(connection: sa.Connection, id_or_number: str, *, lock: bool = False) -> Invoice | None:
    """By our id or by the invoice's number; with `lock`, nobody else changes it before the transaction
    ends."""
    query = sa.select(invoices).where((invoices.c.id == id_or_number) | (invoices.c.number == id_or_number))
    found = _load(connection, query.with_for_update(key_share=True) if lock else query)
    return found[0] if found else None


def replacement_of(connection: sa.Connection, invoice_id: str) -> Invoice | None:
    """The invoice that was issued instead of a void one."""
    found = _load(connection, sa.select(invoices).where(invoices.c.replaces == invoice_id))
    return found[-1] if found else None


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
    among: Sequence[str] | None = None,
) -> list[Invoice]:
    """Invoices (`among` these ids) in the order of their ids, which is the order in which they were made."""
    wanted = {
        invoices.c.account_id: account,
        invoices.c.month: None if month is None else str(month),
        invoices.c.status: status,
    }
    query = having(sa.select(invoices), wanted)
    if among is not None:
        query = query.where(invoices.c.id.in_(among))
    return _load(connection, page_of(query, invoices.c.id, Page(after, limit)))


def unpaid_numbers(connection: sa.Connection, account_id: str) -> list[str]:
    """Of an account's invoices that are issued and neither paid nor void, in the order of their numbers."""
    waits = invoices.c.status.in_(("finalized", "open", "uncollectible"))
    query = sa.select(invoices.c.number).where(invoices.c.account_id == account_id, waits)
    return [row.number for row in connection.execute(query.order_by(invoices.c.number))]


def update(connection: sa.Connection, invoice_id: str, **changes: Any) -> None:
    """Change what may change after finalization: status, payment, and what Stripe calls the invoice."""
    allowed = {
        "status", "amount_paid", "stripe_invoice_id", "stripe_status", "hosted_invoice_url", "invoice_pdf",
        "void_entry", "voided_at", "void_reason",
    }  # fmt: skip
    assert changes.keys() <= allowed, f"a finalized invoice never changes: {changes.keys() - allowed}"
    connection.execute(invoices.update().where(invoices.c.id == invoice_id).values(**changes))


def columns_of(invoice: Invoice) -> dict[str, Any]:
    columns = {column.name: getattr(invoice, column.name, None) for column in invoices.columns}
    return columns | {
        "account_id": invoice.account,
        "contract_id": invoice.contract,
        "bill_to": json.dumps(dict(invoice.bill_to)),
        "month": str(invoice.month),
        "not_billed": json.dumps(dict(invoice.not_billed)),
        "usage_by_day": json.dumps({day: dict(counts) for day, counts in invoice.usage_by_day.items()}),
    }


def line_columns(invoice_id: str, position: int, line: Line) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "position": position,
        "kind": line.kind.value,
        "description": line.description,
        "quantity": line.quantity,
        "unit_price": None if line.unit_price is None else format(line.unit_price, "f"),
        "exact_amount": format(line.exact_amount, "f"),
        "amount": line.amount,
        "month": None if line.month is None else str(line.month),
        "reference": line.reference,
    }


def _load(connection: sa.Connection, query: sa.Select[Any]) -> list[Invoice]:
    rows = connection.execute(query).all()
    lines = lines_of(connection, [row.id for row in rows])
    is_theirs = check_of(connection)
    return [_invoice(row, tuple(lines[row.id]), is_theirs) for row in rows]


def _invoice(row: sa.Row[Any], lines: tuple[Line, ...], is_theirs: Check) -> Invoice:
    values = dict(row._mapping)
    account, contract = values.pop("account_id"), values.pop("contract_id")
    return Invoice(
        **values
        | {
            "account": account,
            "contract": contract,
            "bill_to": json.loads(row.bill_to),
            "month": Month.parse(row.month),
            "not_billed": json.loads(row.not_billed),
            "usage_by_day": json.loads(row.usage_by_day),
            "lines": lines,
            "hosted_invoice_url": row.hosted_invoice_url if is_theirs(row.hosted_invoice_url) else None,
            "invoice_pdf": row.invoice_pdf if is_theirs(row.invoice_pdf) else None,
        }
    )


def lines_of(connection: sa.Connection, ids: list[str]) -> dict[str, list[Line]]:
    """The lines of several invoices, in order."""
    found: dict[str, list[Line]] = {invoice_id: [] for invoice_id in ids}
    for part in parts(ids):
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
                    None if row.month is None else Month.parse(row.month),
                    row.reference,
                )
            )
    return found
