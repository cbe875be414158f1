"""What an operator looks at before and after a month is closed: a page at a time, and sums."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billing.tables import billing_runs, invoices, outbox
from metering.period import Month, format_instant


@dataclass(frozen=True, slots=True)
class StatusSum:
    """The invoices of a month in one status and currency; amounts in minor units."""

    status: str
    currency: str
    count: int
    total: int
    paid: int


@dataclass(frozen=True, slots=True)
class DraftChange:
    """A draft beside the account's usage invoice of the month before; both of that are None where there is
    none. Amounts in minor units."""

    id: str
    account: str
    currency: str
    plan: str
    total: int
    billable: int
    before: int | None
    billable_before: int | None

    @property
    def change(self) -> int:
        return self.total - (self.before or 0)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "id": self.id,
            "account": self.account,
            "currency": self.currency,
            "plan": self.plan,
            "total": self.total,
            "billable": self.billable,
            "total_before": self.before,
            "billable_before": self.billable_before,
            "change": self.change,
        }


@dataclass(frozen=True, slots=True)
class NotDone:
    """What is not done at Stripe for an invoice, though it was tried: `status` is failed, for an operator to
    look at, or pending, which is tried again at `next_attempt_at`."""

    invoice_id: str
    number: str | None
    account: str
    kind: str
    step: str
    status: str
    attempts: int
    next_attempt_at: int
    error: str

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "invoice": self.invoice_id,
            "number": self.number,
            "account": self.account,
            "kind": self.kind,
            "step": self.step,
            "status": self.status,
            "attempts": self.attempts,
            "next_attempt_at": format_instant(self.next_attempt_at),
            "error": self.error,
        }


def sums(connection: sa.Connection, month: Month) -> list[StatusSum]:
    """By status and currency."""
    which = (invoices.c.status, invoices.c.currency)
    query = sa.select(
        *which, sa.func.count(), sa.func.sum(invoices.c.total), sa.func.sum(invoices.c.amount_paid)
    )
    query = query.where(invoices.c.month == str(month)).group_by(*which).order_by(*which)
    return [StatusSum(row[0], row[1], *map(int, row[2:])) for row in connection.execute(query)]


def draft_changes(
    connection: sa.Connection, month: Month, *, offset: int = 0, limit: int
) -> list[DraftChange]:
    """The drafts of a month, those that differ most from the month before first."""
    before = invoices.alias("before")
    same = sa.and_(
        before.c.account_id == invoices.c.account_id,
        before.c.month == str(month.previous()),
        before.c.kind == "usage",
        before.c.status.not_in(("draft", "void")),
    )
    change = sa.func.abs(invoices.c.total - sa.func.coalesce(before.c.total, 0))
    query = (
        sa.select(
            invoices.c.id,
            invoices.c.account_id,
            invoices.c.currency,
            invoices.c.plan,
            invoices.c.total,
            invoices.c.billable,
            before.c.total.label("total_before"),
            before.c.billable.label("billable_before"),
        )
        .select_from(invoices.outerjoin(before, same))
        .where(invoices.c.month == str(month), invoices.c.status == "draft")
        .order_by(change.desc(), invoices.c.id)
        .offset(offset)
        .limit(limit)
    )
    return [DraftChange(*row) for row in connection.execute(query)]


def not_done(connection: sa.Connection, month: Month, *, limit: int) -> list[NotDone]:
    """What failed first, then what is tried again by itself."""
    query = (
        sa.select(
            outbox.c.invoice_id,
            invoices.c.number,
            invoices.c.account_id,
            outbox.c.kind,
            outbox.c.step,
            outbox.c.status,
            outbox.c.attempts,
            outbox.c.next_attempt_at,
            outbox.c.error,
        )
        .join_from(outbox, invoices, invoices.c.id == outbox.c.invoice_id)
        .where(
            invoices.c.month == str(month),
            outbox.c.status.in_(("failed", "pending")),
            outbox.c.error.is_not(None),
        )
        .order_by(outbox.c.status, invoices.c.id)
        .limit(limit)
    )
    return [NotDone(*row) for row in connection.execute(query)]


def last_run(connection: sa.Connection, month: Month) -> str | None:
    """The id of the run of all accounts of a month that was started last."""
    query = sa.select(billing_runs.c.id).where(
        billing_runs.c.month == str(month), billing_runs.c.account_id.is_(None)
    )
    return connection.scalar(query.order_by(billing_runs.c.id.desc()).limit(1))
