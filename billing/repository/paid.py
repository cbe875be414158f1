"""What is kept of payments and of money that went back, part by part, beside what they come to, as
`billing prove` looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.audit_tables import audit_entries
from billing.repository.collection import GONE
from billing.stripe_tables import collections, invoice_payments, invoice_reversals, stripe_records
from billing.tables import invoices

_PAID = "invoice.paid"


class Uneven(NamedTuple):
    """An invoice, or a record of Stripe's of one, whose parts are not numbered from 1 on, or come to another
    sum, in minor units, than is said of it."""

    id: str
    name: str
    said: int
    parts: int


def uneven_payments(connection: sa.Connection) -> Iterator[Uneven]:
    of = _parts(invoice_payments, invoice_payments.c.invoice_id)
    query = sa.select(invoices.c.id, invoices.c.number, invoices.c.amount_paid, of.c.amount)
    query = query.join_from(invoices, of, of.c.of == invoices.c.id, isouter=True)
    query = query.where(_differs(of, invoices.c.amount_paid)).order_by(invoices.c.id)
    for id, number, said, parts in connection.execute(query):
        yield Uneven(id, id if number is None else number, said, parts or 0)


def uneven_reversals(connection: sa.Connection) -> Iterator[Uneven]:
    of = _parts(invoice_reversals, invoice_reversals.c.record_id)
    columns = stripe_records.c
    gone = sa.or_(*(sa.and_(columns.kind == kind, columns.status.in_(GONE[kind])) for kind in GONE))
    said = sa.case((gone, columns.amount), else_=0)
    query = sa.select(columns.id, columns.id, said, of.c.amount)
    query = query.join_from(stripe_records, of, of.c.of == columns.id, isouter=True)
    for id, name, amount, parts in connection.execute(query.where(_differs(of, said)).order_by(columns.id)):
        yield Uneven(id, name, amount, parts or 0)


def _parts(table: sa.Table, of: sa.Column[str]) -> sa.Subquery:
    number = table.c.number
    in_order = sa.and_(sa.func.min(number) == 1, sa.func.max(number) == sa.func.count())
    columns = of.label("of"), sa.func.sum(table.c.amount).label("amount"), in_order.label("in_order")
    return sa.select(*columns).group_by(of).subquery()


def _differs(of: sa.Subquery, said: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.func.coalesce(of.c.amount, 0) != said, sa.not_(sa.func.coalesce(of.c.in_order, sa.true()))
    )


class Part(NamedTuple):
    """A payment, or (of a record of Stripe's) money that went back."""

    id: str
    what: str
    at: int


def ownerless(connection: sa.Connection) -> Iterator[Part]:
    """Parts of no invoice, or that went back by a record which is not there, or is of another invoice or
    kind."""
    held, gone = invoice_payments.c, invoice_reversals.c
    paid = sa.select(held.invoice_id, sa.literal("payment"), held.at)
    yield from _each(connection, paid.where(held.invoice_id.not_in(sa.select(invoices.c.id))))
    theirs = sa.exists().where(
        stripe_records.c.id == gone.record_id,
        stripe_records.c.invoice_id == gone.invoice_id,
        stripe_records.c.kind == gone.kind,
        invoices.c.id == gone.invoice_id,
    )
    yield from _each(connection, sa.select(gone.record_id, gone.kind, gone.at).where(~theirs))


def out_of_time(connection: sa.Connection, now: int | None) -> Iterator[Part]:
    """Parts from before their invoice was issued, or from later than now and the last entry of the trail. A
    clock that was put back meanwhile is believed: the trail has an entry from after the invoice was issued
    that is no later than the part."""
    entries = audit_entries.alias()
    last = None if now is None else max(now, connection.scalar(sa.select(sa.func.max(entries.c.at))) or 0)
    for table, of, what in (
        (invoice_payments, invoice_payments.c.invoice_id, sa.literal("payment")),
        (invoice_reversals, invoice_reversals.c.record_id, invoice_reversals.c.kind),
    ):
        at = table.c.at
        first = sa.select(sa.func.min(entries.c.number)).where(entries.c.at >= invoices.c.issued_at)
        put_back = sa.exists().where(
            audit_entries.c.number > first.scalar_subquery(), audit_entries.c.at <= at
        )
        wrong = sa.and_(at < invoices.c.issued_at, ~put_back)
        if last is not None:
            wrong |= at > last
        query = sa.select(of, what, at).join_from(table, invoices, invoices.c.id == table.c.invoice_id)
        yield from _each(connection, query.where(wrong))


def _each(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Part]:
    for id, what, at in connection.execute(query.order_by(sa.text("1, 3"))):
        yield Part(id, what, at)


class Paid(NamedTuple):
    id: str
    number: str


def paid_at_another_time(connection: sa.Connection) -> Iterator[Paid]:
    """Invoices that are paid in full by payments, none of which was learned of as the trail says that the
    invoice is paid. Both are one transaction."""
    columns = invoices.c
    said = sa.and_(audit_entries.c.subject == columns.id, audit_entries.c.deed == _PAID)
    mine = invoice_payments.c.invoice_id == columns.id
    tax = sa.select(collections.c.tax).where(collections.c.invoice_id == columns.id).scalar_subquery()
    query = sa.select(columns.id, columns.number).where(
        columns.status == "paid",
        columns.amount_paid >= columns.total + sa.func.coalesce(tax, 0),
        sa.exists().where(mine),
        sa.exists().where(said),
        ~sa.exists().where(mine, said, invoice_payments.c.at == audit_entries.c.at),
    )
    for row in connection.execute(query.order_by(columns.id)):
        yield Paid(*row)
