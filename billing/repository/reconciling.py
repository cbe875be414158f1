"""What reconciliation asks of our books: of a month at once, never an invoice at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.repository.parts import parts
from billing.tables import accounts, credit_notes, invoices, outbox
from metering.period import Month

_WAITS = ("pending", "failed")


class Links(NamedTuple):
    """Where an invoice's page and its PDF are at Stripe, as it is stored, wherever it leads."""

    page: str | None
    pdf: str | None


class Named(NamedTuple):
    """An invoice of ours that one at Stripe is, or names."""

    id: str
    month: Month
    stripe_invoice_id: str | None


def first_issued_at(connection: sa.Connection, month: Month, account: str | None) -> int | None:
    """When the first invoice of a month was issued."""
    query = sa.select(sa.func.min(invoices.c.issued_at)).where(invoices.c.month == str(month))
    issued_at: int | None = connection.scalar(_of(query, account))
    return issued_at


def credited(connection: sa.Connection, month: Month, account: str | None) -> dict[str, int]:
    """What all credit notes of a month's invoices come to, by invoice."""
    query = (
        sa.select(credit_notes.c.invoice_id, sa.func.sum(credit_notes.c.amount).label("amount"))
        .join(invoices, invoices.c.id == credit_notes.c.invoice_id)
        .where(invoices.c.month == str(month))
        .group_by(credit_notes.c.invoice_id)
    )
    return {row.invoice_id: int(row.amount) for row in connection.execute(_of(query, account))}


def waiting(connection: sa.Connection, month: Month, account: str | None) -> dict[str, dict[str, str]]:
    """What is still to be done at Stripe for a month's invoices, by invoice and kind, with what is in the
    way, empty if nothing was."""
    query = (
        sa.select(outbox.c.invoice_id, outbox.c.kind, outbox.c.error)
        .join(invoices, invoices.c.id == outbox.c.invoice_id)
        .where(invoices.c.month == str(month), outbox.c.status.in_(_WAITS))
        .order_by(outbox.c.invoice_id, outbox.c.id)
    )
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(_of(query, account)):
        found[row.invoice_id][row.kind] = row.error or ""
    return found


def links(connection: sa.Connection, month: Month, account: str | None) -> dict[str, Links]:
    """Of a month's invoices, by invoice."""
    query = sa.select(invoices.c.id, invoices.c.hosted_invoice_url, invoices.c.invoice_pdf)
    query = query.where(invoices.c.month == str(month))
    return {row[0]: Links(*row[1:]) for row in connection.execute(_of(query, account))}


def named(connection: sa.Connection, stripe_ids: list[str], ids: list[str]) -> list[Named]:
    """The invoices that we hold under some of Stripe's ids, or that have some of ours."""
    found: dict[str, Named] = {}
    for column, wanted in ((invoices.c.stripe_invoice_id, stripe_ids), (invoices.c.id, ids)):
        for part in parts(wanted):
            query = sa.select(invoices.c.id, invoices.c.month, invoices.c.stripe_invoice_id)
            for row in connection.execute(query.where(column.in_(part))):
                found[row.id] = Named(row.id, Month.parse(row.month), row.stripe_invoice_id)
    return list(found.values())


def accounts_of_customers(connection: sa.Connection, customers: Iterable[str]) -> dict[str, str]:
    """The accounts that some of Stripe's customers stand for."""
    found: dict[str, str] = {}
    for part in parts(list(customers)):
        query = sa.select(accounts.c.id, accounts.c.stripe_customer_id)
        for row in connection.execute(query.where(accounts.c.stripe_customer_id.in_(part))):
            found[row.stripe_customer_id] = row.id
    return found


def last_month_before(connection: sa.Connection, account: str, instant: int) -> Month | None:
    """The month of the account's invoice that was the last to be issued at or before an instant."""
    query = sa.select(invoices.c.month).where(
        invoices.c.account_id == account, invoices.c.status != "draft", invoices.c.issued_at <= instant
    )
    month = connection.scalar(query.order_by(invoices.c.issued_at.desc(), invoices.c.id.desc()).limit(1))
    return None if month is None else Month.parse(month)


def unsettled_months(connection: sa.Connection, since: Month) -> list[Month]:
    """The months, from one on, of which an invoice is not paid or void yet, or something is still to be done
    at Stripe; oldest first. A void that came too late, since the invoice was paid, is not."""
    left = sa.exists().where(
        outbox.c.invoice_id == invoices.c.id,
        outbox.c.status.in_(_WAITS),
        sa.or_(outbox.c.kind != "void", invoices.c.status != "paid"),
    )
    query = sa.select(invoices.c.month).where(
        invoices.c.month >= str(since),
        sa.or_(invoices.c.status.in_(("finalized", "open", "uncollectible")), left),
    )
    return [Month.parse(month) for month in connection.scalars(query.distinct().order_by(invoices.c.month))]


def _of(query: sa.Select[Any], account: str | None) -> sa.Select[Any]:
    return query if account is None else query.where(invoices.c.account_id == account)
