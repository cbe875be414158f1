"""What is kept beside invoices and follows from them, as `billing prove` looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa

from billing.tables import (
    account_terms,
    accounts,
    credit_ledger,
    credit_notes,
    invoice_numbers,
    invoices,
    outbox,
)

_PAGE = 1000


class Numbered(NamedTuple):
    """A document that has a number; `what` it is."""

    what: str
    id: str
    number: str


class VoidIntent(NamedTuple):
    """A void that is to be done at Stripe, or was, and who asked for it and why, as the intent says."""

    invoice_id: str
    number: str
    author: str | None
    reason: str | None


class Linked(NamedTuple):
    """An invoice, and where its page and its PDF are at Stripe, as it is stored."""

    id: str
    number: str
    month: str
    page: str | None
    pdf: str | None


class Behind(NamedTuple):
    """An account that counts fewer entries of its books than the number of its last."""

    account: str
    counts: int
    last: int


def numbers(connection: sa.Connection) -> Iterator[str]:
    """Of all documents, in their order, as far as texts have it: longer ones come later, once there are a
    million of a month."""
    both = sa.union_all(
        sa.select(invoices.c.number).where(invoices.c.number.is_not(None)), sa.select(credit_notes.c.number)
    ).subquery()
    query = sa.select(both.c.number).order_by(sa.func.length(both.c.number), both.c.number)
    for number in connection.execute(query, execution_options={"yield_per": _PAGE}).scalars():
        yield str(number)


def last_numbers(connection: sa.Connection) -> dict[str, int]:
    """The last number that was given, by its prefix."""
    return {row.prefix: row.last for row in connection.execute(sa.select(invoice_numbers))}


def without_intent(connection: sa.Connection) -> Iterator[Numbered]:
    """What is owed or was credited, and of which the outbox says nothing."""
    sent = sa.select(outbox.c.id)
    owed = sa.select(invoices.c.id, invoices.c.number).where(
        invoices.c.status.not_in(("draft", "void")), invoices.c.total != 0, invoices.c.id.not_in(sent)
    )
    given = sa.select(credit_notes.c.id, credit_notes.c.number).where(credit_notes.c.id.not_in(sent))
    for what, query in (("invoice", owed), ("credit note", given)):
        for row in connection.execute(query.order_by(sa.text("2"))):
            yield Numbered(what, row.id, row.number)


def voids(connection: sa.Connection) -> list[VoidIntent]:
    query = (
        sa.select(outbox.c.invoice_id, invoices.c.number, outbox.c.author, outbox.c.reason)
        .join_from(outbox, invoices, invoices.c.id == outbox.c.invoice_id)
        .where(outbox.c.kind == "void")
        .order_by(outbox.c.id)
    )
    return [VoidIntent(*row) for row in connection.execute(query)]


def linked(connection: sa.Connection) -> Iterator[Linked]:
    columns = invoices.c
    query = sa.select(
        columns.id, columns.number, columns.month, columns.hosted_invoice_url, columns.invoice_pdf
    )
    query = query.where(columns.hosted_invoice_url.is_not(None) | columns.invoice_pdf.is_not(None))
    for row in connection.execute(query.order_by(columns.id), execution_options={"yield_per": _PAGE}):
        yield Linked(*row)


def behind(connection: sa.Connection) -> Iterator[Behind]:
    held = sa.union_all(
        sa.select(account_terms.c.account_id, account_terms.c.entry),
        sa.select(credit_ledger.c.account_id, credit_ledger.c.entry),
        sa.select(credit_notes.c.account_id, credit_notes.c.entry),
        sa.select(invoices.c.account_id, invoices.c.entry),
        sa.select(invoices.c.account_id, invoices.c.void_entry),
    ).subquery()
    last = sa.func.max(held.c.entry).label("last")
    of = sa.select(held.c.account_id, last).group_by(held.c.account_id).subquery()
    query = (
        sa.select(accounts.c.id, accounts.c.entries, of.c.last)
        .join(of, of.c.account_id == accounts.c.id)
        .where(accounts.c.entries < of.c.last)
        .order_by(accounts.c.id)
    )
    for row in connection.execute(query):
        yield Behind(*row)
