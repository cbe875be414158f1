"""Invoices of which nothing is read but who they are: what else is stored of one may be damaged."""

from __future__ import annotations

from typing import NamedTuple

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
    """All, or those of a month, in the order in which they were made."""
    query = having(sa.select(invoices.c.id), {invoices.c.month: None if month is None else str(month)})
    return list(connection.scalars(page_of(query, invoices.c.id, Page(after, limit))))
