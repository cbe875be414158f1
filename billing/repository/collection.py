"""How Stripe stands with collecting our invoices, and what it has beside them, as last fetched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from billing.stripe_tables import collections, invoice_payments, invoice_reversals, stripe_records
from billing.tables import credit_notes, invoices

# A refund that failed, or was taken back, went nowhere; of disputes only those count that are lost.
GONE = {"refund": ("succeeded", "pending", "requires_action"), "dispute": ("lost",)}


@dataclass(frozen=True, slots=True)
class Collection:
    """Amounts in minor units, tax included; times are instants. `attempts` were made so far, the last failed
    for `failure` (None: it did not, or Stripe does not say); the next is at `next_attempt_at`, None where
    Stripe makes none by itself. `finalization_error` says why Stripe could not finalize the invoice. `tax` is
    what Stripe added to the total, None where that is not known: it was fetched before it was kept."""

    amount_due: int
    amount_remaining: int
    charge_automatically: bool
    attempts: int
    next_attempt_at: int | None
    due_at: int | None
    failure: str | None
    action_required: bool
    finalization_error: str | None
    fetched_at: int
    tax: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A credit note, refund or dispute at Stripe; `amount` in minor units, `created_at` an instant;
    `credit_note_id` is that of our credit note, where it stands for one."""

    id: str
    kind: str
    amount: int
    currency: str
    status: str
    reason: str
    created_at: int
    credit_note_id: str | None = None


def version(connection: sa.Connection, invoice_id: str) -> int:
    """How often Stripe's state of an invoice was taken over."""
    query = sa.select(collections.c.version).where(collections.c.invoice_id == invoice_id)
    return connection.scalar(query) or 0


def get(connection: sa.Connection, invoice_id: str) -> Collection | None:
    row = connection.execute(
        sa.select(collections).where(collections.c.invoice_id == invoice_id)
    ).one_or_none()
    return None if row is None else _collection(row)


def not_collected(connection: sa.Connection, account: str) -> dict[str, Collection]:
    """Those of an account's invoices that are issued and neither paid, void nor given up, by the invoices'
    ids."""
    query = (
        sa.select(collections)
        .join_from(collections, invoices, invoices.c.id == collections.c.invoice_id)
        .where(invoices.c.account_id == account, invoices.c.status.in_(("finalized", "open")))
        .order_by(collections.c.invoice_id)
    )
    return {row.invoice_id: _collection(row) for row in connection.execute(query)}


def failing(
    connection: sa.Connection,
    now: int,
    account: str | None = None,
    *,
    after: str = "",
    limit: int | None = None,
) -> dict[str, Collection]:
    """Those that somebody should look at (`dunning.FAILING`, said in SQL), by the invoices' ids: those after
    one, at most so many."""
    held = collections.c
    in_the_way = sa.or_(
        held.action_required,
        sa.and_(held.attempts > 0, sa.or_(held.next_attempt_at.is_not(None), held.charge_automatically)),
        held.due_at < now,
    )
    not_finalized = sa.func.coalesce(held.finalization_error, "") != ""
    # There are fewer of these than of invoices: an `exists` keeps them leading.
    query = (
        sa.select(collections)
        .where(
            held.invoice_id > after,
            sa.or_(
                sa.and_(in_the_way, _has_status("open", account)),
                sa.and_(not_finalized, _has_status("finalized", account)),
            ),
        )
        .order_by(held.invoice_id)
        .limit(limit)
    )
    return {row.invoice_id: _collection(row) for row in connection.execute(query)}


def _has_status(status: str, account: str | None) -> sa.ColumnElement[bool]:
    mine = [invoices.c.id == collections.c.invoice_id, invoices.c.status == status]
    if account is not None:
        mine.append(invoices.c.account_id == account)
    return sa.exists().where(*mine)


def put(connection: sa.Connection, invoice_id: str, held: Collection) -> None:
    """Take over what Stripe has. Whoever calls has locked the invoice and compared versions."""
    next_version = version(connection, invoice_id) + 1
    connection.execute(collections.delete().where(collections.c.invoice_id == invoice_id))
    values = {"invoice_id": invoice_id, "version": next_version, **asdict(held)}
    connection.execute(collections.insert().values(**values))


def note_payment(connection: sa.Connection, invoice_id: str, paid: int, now: int) -> None:
    """Take over how much is paid of an invoice in all, in minor units, and note what is new. Whoever calls
    has locked the invoice."""
    before = connection.execute(
        sa.select(invoices.c.amount_paid, sa.func.count(invoice_payments.c.number))
        .join_from(invoices, invoice_payments, isouter=True)
        .where(invoices.c.id == invoice_id)
        .group_by(invoices.c.amount_paid)
    ).one()
    if paid == before.amount_paid:
        return
    connection.execute(invoices.update().where(invoices.c.id == invoice_id).values(amount_paid=paid))
    values = {
        "invoice_id": invoice_id,
        "number": before[1] + 1,
        "amount": paid - before.amount_paid,
        "at": now,
    }
    connection.execute(invoice_payments.insert().values(**values))


def records(connection: sa.Connection, invoice_id: str) -> list[Record]:
    """Oldest first."""
    query = sa.select(stripe_records).where(stripe_records.c.invoice_id == invoice_id)
    names = Record.__dataclass_fields__
    rows = connection.execute(query.order_by(stripe_records.c.created_at, stripe_records.c.id))
    return [Record(**{name: row._mapping[name] for name in names}) for row in rows]


def put_records(connection: sa.Connection, invoice_id: str, found: Iterable[Record], now: int) -> None:
    """Take over what Stripe has, and note what of it is new of money that went back; nothing there is ever
    deleted. Whoever calls has locked the invoice."""
    for each in found:
        known = sa.select(credit_notes.c.id).where(credit_notes.c.id == each.credit_note_id)
        ours = connection.scalar(known) if each.credit_note_id else None
        values = asdict(each) | {"invoice_id": invoice_id, "credit_note_id": ours}
        change = stripe_records.update().where(stripe_records.c.id == each.id).values(**values)
        if connection.execute(change).rowcount == 0:
            connection.execute(stripe_records.insert().values(**values))
        if each.kind in GONE:
            _note_reversal(connection, invoice_id, each, now)


def _note_reversal(connection: sa.Connection, invoice_id: str, each: Record, now: int) -> None:
    columns = invoice_reversals.c
    noted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(columns.amount), 0))
    before, sum_before = connection.execute(noted.where(columns.record_id == each.id)).one()
    amount = (each.amount if each.status in GONE[each.kind] else 0) - int(sum_before)
    if amount:
        new = {"number": before + 1, "kind": each.kind, "amount": amount, "at": now}
        connection.execute(invoice_reversals.insert().values(record_id=each.id, invoice_id=invoice_id, **new))


def _collection(row: sa.Row[Any]) -> Collection:
    return Collection(**{name: row._mapping[name] for name in Collection.__dataclass_fields__})
