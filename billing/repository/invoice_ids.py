"""Invoices of which nothing is read but who they are: what else is stored of one may be damaged."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.repository.lists import Page, having, page_of
from billing.tables import invoices
from metering.period import Month


class Found(NamedTuple):
    id: str
    account: str


def find(connection: sa.Connection, id_or_number: str) -> Found | None:
    """By our id or by the invoice's number."""
    query = sa.select(invoices.c.id, invoices.c.account_id)
    query = query.where((invoices.c.id == id_or_number) | (invoices.c.number == id_or_number))
    row = connection.execute(query).first()
    return None if row is None else Found(*row)


def ids(
    connection: sa.Connection, *, month: Month | None = None, after: str | None = None, limit: int
) -> list[str]:
    """Of all that were issued, or those of a month, in the order in which they were made."""
    issued = having(sa.select(invoices.c.id), _in_month(month)).where(invoices.c.status != "draft")
    return list(connection.scalars(page_of(issued, invoices.c.id, Page(after, limit))))


def ids_having(
    connection: sa.Connection,
    account: str | None,
    month: Month | None,
    status: str | None,
    after: str | None,
    limit: int,
) -> list[str]:
    """Of all that have these, drafts too. Who goes through a month finds them so, once and not for each page:
    the database looks at all invoices of the month each time, and they are large."""
    wanted = {invoices.c.account_id: account, invoices.c.status: status} | _in_month(month)
    found = having(sa.select(invoices.c.id), wanted)
    return list(connection.scalars(page_of(found, invoices.c.id, Page(after, limit))))


def drafts(connection: sa.Connection, *, month: Month | None = None) -> int:
    """How many there are, or of a month."""
    query = having(sa.select(sa.func.count()).select_from(invoices), _in_month(month))
    return connection.scalar(query.where(invoices.c.status == "draft")) or 0


def _in_month(month: Month | None) -> dict[sa.Column[Any], str | None]:
    return {invoices.c.month: None if month is None else str(month)}
