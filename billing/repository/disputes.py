"""Disputes, and the task runs that they are about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billing.customer_tables import dispute_runs, disputes
from billing.repository.lists import Page, having, page_of
from billing.repository.parts import parts


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator decided, and who it was: `reverse` holds the runs to be reversed, none to decline."""

    reverse: tuple[str, ...]
    reply: str
    by: str
    at: int

    @property
    def status(self) -> str:
        return "corrected" if self.reverse else "declined"

    def same(self, other: Decision) -> bool:
        """Whether it says the same, whoever says it and whenever."""
        return (self.reverse, self.reply) == (other.reverse, other.reply)


@dataclass(frozen=True, slots=True)
class Dispute:
    """`runs` are ids in order; `reversed` those of them that the answer reversed. `invoice` is the id of an
    invoice, `status` open, corrected or declined. A `decision` of an open dispute was begun and has to be
    finished."""

    id: str
    account: str
    invoice: str | None
    status: str
    message: str
    raised_by: str
    author: str
    raised_at: int
    runs: tuple[str, ...]
    reversed: tuple[str, ...] = ()
    request: str | None = None
    decision: Decision | None = None
    reply: str | None = None
    answered_by: str | None = None
    answered_at: int | None = None


def add(connection: sa.Connection, dispute: Dispute) -> None:
    connection.execute(
        disputes.insert().values(
            id=dispute.id,
            account_id=dispute.account,
            invoice_id=dispute.invoice,
            status=dispute.status,
            message=dispute.message,
            raised_by=dispute.raised_by,
            author=dispute.author,
            raised_at=dispute.raised_at,
            request=dispute.request,
        )
    )
    rows = [
        {"dispute_id": dispute.id, "task_run_id": task_run_id, "reversed": False}
        for task_run_id in dispute.runs
    ]
    connection.execute(dispute_runs.insert(), rows)


def get(connection: sa.Connection, dispute_id: str, *, lock: bool = False) -> Dispute | None:
    """With `lock` nobody else changes it before this transaction ends."""
    query = sa.select(disputes).where(disputes.c.id == dispute_id)
    found = _load(connection, query.with_for_update() if lock else query)
    return found[0] if found else None


def of_request(connection: sa.Connection, account_id: str, request: str) -> Dispute | None:
    query = sa.select(disputes).where(disputes.c.account_id == account_id, disputes.c.request == request)
    found = _load(connection, query)
    return found[0] if found else None


def search(
    connection: sa.Connection,
    *,
    account: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Dispute]:
    """In the order in which they were raised."""
    query = having(sa.select(disputes), {disputes.c.account_id: account, disputes.c.status: status})
    return _load(connection, page_of(query, disputes.c.id, Page(after, limit)))


def open_about(connection: sa.Connection, account_id: str, task_run_ids: Sequence[str]) -> dict[str, str]:
    """Those of some task runs that an open dispute of the account is about, each with the dispute's id."""
    found: dict[str, str] = {}
    both = dispute_runs.join(disputes, disputes.c.id == dispute_runs.c.dispute_id)
    for part in parts(list(task_run_ids)):
        query = sa.select(dispute_runs.c.task_run_id, disputes.c.id).select_from(both)
        rows = connection.execute(
            query.where(
                disputes.c.account_id == account_id,
                disputes.c.status == "open",
                dispute_runs.c.task_run_id.in_(part),
            )
        )
        found |= {row.task_run_id: row.id for row in rows}
    return found


def decide(connection: sa.Connection, dispute_id: str, decision: Decision | None) -> None:
    """Keep what was decided, or take it back."""
    data = None
    if decision is not None:
        data = json.dumps(
            {"reverse": decision.reverse, "reply": decision.reply, "by": decision.by, "at": decision.at}
        )
    connection.execute(disputes.update().where(disputes.c.id == dispute_id).values(decision=data))


def finish(connection: sa.Connection, dispute_id: str, decision: Decision) -> None:
    """The decision was carried out: the dispute is answered."""
    connection.execute(
        disputes.update()
        .where(disputes.c.id == dispute_id)
        .values(
            status=decision.status,
            reply=decision.reply,
            answered_by=decision.by,
            answered_at=decision.at,
        )
    )
    for part in parts(list(decision.reverse)):
        mine = (dispute_runs.c.dispute_id == dispute_id, dispute_runs.c.task_run_id.in_(part))
        connection.execute(dispute_runs.update().where(*mine).values(reversed=True))


def _load(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Dispute]:
    rows = connection.execute(query).all()
    runs: dict[str, list[str]] = {row.id: [] for row in rows}
    reversed_: dict[str, list[str]] = {row.id: [] for row in rows}
    for part in parts(list(runs)):
        about = sa.select(dispute_runs).where(dispute_runs.c.dispute_id.in_(part))
        for each in connection.execute(about.order_by(dispute_runs.c.task_run_id)):
            runs[each.dispute_id].append(each.task_run_id)
            if each.reversed:
                reversed_[each.dispute_id].append(each.task_run_id)
    return [
        Dispute(
            row.id,
            row.account_id,
            row.invoice_id,
            row.status,
            row.message,
            row.raised_by,
            row.author,
            row.raised_at,
            tuple(runs[row.id]),
            tuple(reversed_[row.id]),
            row.request,
            _decision(row.decision),
            row.reply,
            row.answered_by,
            row.answered_at,
        )
        for row in rows
    ]


def _decision(data: str | None) -> Decision | None:
    if data is None:
        return None
    read: Mapping[str, Any] = json.loads(data)
    return Decision(tuple(read["reverse"]), read["reply"], read["by"], read["at"])
