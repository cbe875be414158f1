"""The outbox: what we mean to do at Stripe. An intent is committed with the invoice it is for; the results of
its steps are committed as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billing.tables import invoices, outbox
from metering.period import Month

# The steps of sending an invoice, in order.
STEPS = ("customer", "create", "lines", "finalize")


@dataclass(frozen=True, slots=True)
class Intent:
    """One invoice on its way to Stripe. `step` is the next to do, first tried at `step_since` (an instant;
    0: never). `generation` is part of the idempotency keys: a new one makes new requests of the same steps.
    `status` is `pending`, `done`, or `failed`: an operator must look at `error`."""

    invoice_id: str
    step: str
    status: str
    attempts: int
    generation: int
    step_since: int
    next_attempt_at: int
    error: str | None


def add(connection: sa.Connection, invoice_id: str, now: int) -> None:
    connection.execute(
        outbox.insert().values(
            id=invoice_id,
            kind="send",
            invoice_id=invoice_id,
            step=STEPS[0],
            status="pending",
            attempts=0,
            generation=1,
            step_since=0,
            next_attempt_at=now,
            claimed_until=0,
        )
    )


def claim(connection: sa.Connection, invoice_id: str, now: int, until: int) -> Intent | None:
    """Take an intent for this process, for a while; None if it is done or another has it."""
    done = connection.execute(
        outbox.update()
        .where(outbox.c.invoice_id == invoice_id, outbox.c.status == "pending", outbox.c.claimed_until <= now)
        .values(claimed_until=until)
    )
    return get(connection, invoice_id) if done.rowcount else None


def get(connection: sa.Connection, invoice_id: str) -> Intent | None:
    row = connection.execute(sa.select(outbox).where(outbox.c.invoice_id == invoice_id)).one_or_none()
    return _intent(row) if row is not None else None


def update(connection: sa.Connection, invoice_id: str, **changes: Any) -> None:
    connection.execute(outbox.update().where(outbox.c.invoice_id == invoice_id).values(**changes))


def retry_failed(connection: sa.Connection, month: Month, account: str | None, now: int) -> None:
    """An operator runs the month again: what failed, or waits for its next attempt, is due now."""
    ids = sa.select(invoices.c.id).where(invoices.c.month == str(month))
    if account is not None:
        ids = ids.where(invoices.c.account_id == account)
    connection.execute(
        outbox.update()
        .where(outbox.c.invoice_id.in_(ids), outbox.c.status != "done")
        .values(status="pending", next_attempt_at=now)
    )


def due(
    connection: sa.Connection, now: int, *, month: Month | None = None, account: str | None = None
) -> list[str]:
    """The invoices whose next step may be tried now, oldest first."""
    query = (
        sa.select(outbox.c.invoice_id)
        .join(invoices, invoices.c.id == outbox.c.invoice_id)
        .where(outbox.c.status == "pending", outbox.c.next_attempt_at <= now, outbox.c.claimed_until <= now)
        .order_by(outbox.c.invoice_id)
    )
    if month is not None:
        query = query.where(invoices.c.month == str(month))
    if account is not None:
        query = query.where(invoices.c.account_id == account)
    return [row.invoice_id for row in connection.execute(query)]


def claimed(connection: sa.Connection, now: int, month: Month, account: str | None) -> bool:
    """Whether another process is at work on an invoice of the month."""
    query = (
        sa.select(outbox.c.invoice_id)
        .join(invoices, invoices.c.id == outbox.c.invoice_id)
        .where(invoices.c.month == str(month), outbox.c.status == "pending", outbox.c.claimed_until > now)
    )
    if account is not None:
        query = query.where(invoices.c.account_id == account)
    return connection.execute(query.limit(1)).one_or_none() is not None


def _intent(row: sa.Row[Any]) -> Intent:
    return Intent(
        row.invoice_id,
        row.step,
        row.status,
        row.attempts,
        row.generation,
        row.step_since,
        row.next_attempt_at,
        row.error,
    )
