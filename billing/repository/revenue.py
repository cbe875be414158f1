"""What the journal is made of, read for some accounts at once: issued invoices with what happened to them,
and what a month was known as when it was billed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from billing.audit_tables import audit_entries
from billing.repository.credits import GIVEN_BACK
from billing.repository.invoices import lines_of
from billing.repository.parts import parts
from billing.revenue.facts import CreditRow, Document, Note, Payment, Reversal, Status
from billing.stripe_tables import collections, invoice_payments, invoice_reversals
from billing.tables import billing_runs, credit_ledger, credit_notes, invoices, outbox
from metering.period import DAY_US, Month, day_of

_STATUSES = ("open", "paid", "uncollectible")


@dataclass(frozen=True, slots=True)
class Known:
    """As of which position an account's month was billed first, and which of its terms held: those before an
    entry of its books."""

    cutoff: int
    entry: int


@dataclass(frozen=True, slots=True)
class MonthRun:
    """The first billing run of a month that finished: of one account, or (None) of all."""

    month: Month
    account: str | None
    cutoff: int
    started_at: int


def documents(connection: sa.Connection, ids: list[str]) -> dict[str, list[Document]]:
    """The issued invoices of some accounts, void ones too, in the order of their books."""
    rows = connection.execute(
        sa.select(invoices)
        .where(invoices.c.account_id.in_(ids), invoices.c.status != "draft")
        .order_by(invoices.c.account_id, invoices.c.entry)
    ).all()
    of = [row.id for row in rows]
    lines = lines_of(connection, of)
    held = {row.invoice_id: row for row in _rows(connection, collections, collections.c.invoice_id, of)}
    statuses = _statuses(connection, of)
    notes = _by_invoice(_rows(connection, credit_notes, credit_notes.c.invoice_id, of))
    waiting = _waiting_notes(connection, of)
    credit = _by_invoice(_rows(connection, credit_ledger, credit_ledger.c.invoice_id, of))
    payments = _by_invoice(_rows(connection, invoice_payments, invoice_payments.c.invoice_id, of))
    gone = _by_invoice(_rows(connection, invoice_reversals, invoice_reversals.c.invoice_id, of))
    found: dict[str, list[Document]] = {account: [] for account in ids}
    for row in rows:
        made = _Made(row, held.get(row.id), statuses[row.id])
        rows_of = [credit_row(each, row.number) for each in _ordered(credit[row.id], "entry")]
        document = Document(
            number=row.number,
            account=row.account_id,
            kind=row.kind,
            month=Month.parse(row.month),
            currency=row.currency,
            plan=row.plan,
            status=row.status,
            lines=tuple(lines[row.id]),
            total=row.total,
            issued_at=row.issued_at,
            due_on=day_of(made.due_at),
            tax=made.tax,
            payments=tuple(
                Payment(each.number, each.amount, each.at) for each in _ordered(payments[row.id], "number")
            ),
            replaces=row.replaces is not None,
            contract=row.contract_id,
            voided_at=row.voided_at,
            statuses=made.all_statuses,
            notes=tuple(
                Note(n.number, n.amount, n.kind, n.issued_at, n.reason, n.id not in waiting)
                for n in _ordered(notes[row.id], "entry")
            ),
            given_back=tuple(
                replace(each, note=each.description.removeprefix(GIVEN_BACK))
                for each in rows_of
                if each.kind == "credit_note"
            ),
            undone=tuple(each for each in rows_of if each.kind in ("returned", "withdrawn")),
            reversals=tuple(
                Reversal(each.record_id, each.kind, each.amount, each.at, each.number)
                for each in _ordered(gone[row.id], "at", "record_id", "number")
            ),
            billable=row.billable,
            drawn=row.drawn or 0,
            not_billed=json.loads(row.not_billed),
        )
        found[row.account_id].append(document)
    return found


@dataclass(frozen=True, slots=True)
class _Made:
    """What is read out of an invoice's row and what Stripe said of it."""

    row: Any
    held: Any
    statuses: list[Status]

    @property
    def tax(self) -> int:
        return 0 if self.held is None else self.held.tax or 0

    @property
    def due_at(self) -> int:
        """Stripe's day, where it sent the invoice; else by the terms of payment as of issue."""
        if self.held is not None and (self.held.due_at is not None or self.held.charge_automatically):
            return int(self.held.due_at or self.row.issued_at)
        days = json.loads(self.row.bill_to).get("days_until_due") or 30
        return int(self.row.issued_at) + int(days) * DAY_US

    @property
    def all_statuses(self) -> tuple[Status, ...]:
        """As the trail says; of an invoice that is older than the trail, as Stripe was last asked."""
        if self.statuses or self.row.status not in ("paid", "uncollectible"):
            return tuple(self.statuses)
        at = self.row.issued_at if self.held is None else self.held.fetched_at
        return (Status(self.row.status, int(at)),)


def credit_row(row: Any, number: str | None) -> CreditRow:
    return CreditRow(row.credit_id, row.kind, row.amount, row.recorded_at, row.description, number)


def credit_rows(connection: sa.Connection, ids: list[str]) -> dict[str, list[CreditRow]]:
    """Every row of the credit of some accounts, in order."""
    query = (
        sa.select(credit_ledger, invoices.c.number)
        .join_from(credit_ledger, invoices, isouter=True)
        .where(credit_ledger.c.account_id.in_(ids))
        .order_by(credit_ledger.c.account_id, credit_ledger.c.entry, credit_ledger.c.credit_id)
    )
    found: dict[str, list[CreditRow]] = {account: [] for account in ids}
    for row in connection.execute(query):
        found[row.account_id].append(credit_row(row, row.number))
    return found


def known_months(connection: sa.Connection, account: str) -> dict[Month, Known]:
    """Of each month of an account that was billed, as of what it was first; void invoices count, too."""
    query = (
        sa.select(invoices.c.month, invoices.c.cutoff, invoices.c.entry)
        .where(invoices.c.account_id == account, invoices.c.kind == "usage", invoices.c.entry.is_not(None))
        .order_by(invoices.c.entry.desc())
    )
    return {Month.parse(row.month): Known(row.cutoff, row.entry) for row in connection.execute(query)}


def month_runs(connection: sa.Connection) -> list[MonthRun]:
    """The billing runs that finished, but those that made drafts alone; in the order in which they began."""
    query = (
        sa.select(billing_runs)
        .where(billing_runs.c.early.is_(False), billing_runs.c.finished_at.is_not(None))
        .order_by(billing_runs.c.started_at, billing_runs.c.id)
    )
    return [
        MonthRun(Month.parse(row.month), row.account_id, row.cutoff, row.started_at)
        for row in connection.execute(query)
    ]


def _statuses(connection: sa.Connection, ids: list[str]) -> Mapping[str, list[Status]]:
    """What the trail says of their statuses, in order."""
    found: dict[str, list[Status]] = defaultdict(list)
    deeds = [f"invoice.{status}" for status in _STATUSES]
    for part in parts(ids):
        query = (
            sa.select(audit_entries.c.subject, audit_entries.c.deed, audit_entries.c.at)
            .where(audit_entries.c.subject.in_(part), audit_entries.c.deed.in_(deeds))
            .order_by(audit_entries.c.number)
        )
        for row in connection.execute(query):
            found[row.subject].append(Status(row.deed.removeprefix("invoice."), row.at))
    return found


def _waiting_notes(connection: sa.Connection, ids: list[str]) -> set[str]:
    """Credit notes that are not done at Stripe yet."""
    found: set[str] = set()
    for part in parts(ids):
        query = sa.select(outbox.c.credit_note_id).where(
            outbox.c.invoice_id.in_(part), outbox.c.kind == "credit_note", outbox.c.status != "done"
        )
        found |= set(connection.scalars(query))
    return found


def _rows(
    connection: sa.Connection, table: sa.Table, column: sa.Column[Any], ids: list[str]
) -> Iterator[sa.Row[Any]]:
    for part in parts(ids):
        yield from connection.execute(sa.select(table).where(column.in_(part)))


def _by_invoice(rows: Iterator[sa.Row[Any]]) -> Mapping[str, list[sa.Row[Any]]]:
    found: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.invoice_id].append(row)
    return found


def _ordered(rows: Sequence[sa.Row[Any]], *names: str) -> list[sa.Row[Any]]:
    key: Callable[[sa.Row[Any]], tuple[Any, ...]] = lambda row: tuple(getattr(row, n) for n in names)  # noqa: E731
    return sorted(rows, key=key)
