"""Changes that one person asked for and another is to approve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billing.operator_tables import proposals as table


@dataclass(frozen=True, slots=True)
class Proposal:
    """`request` (JSON) is what is done if somebody else approves, word by word; `summary` says it in a
    sentence. `decision` is approved or refused, for a `reason`; `outcome` done or failed, and `says` what
    came of it (JSON), or what was wrong."""

    id: str
    deed: str
    account: str | None
    summary: str
    request: str
    request_sha256: str
    asked_by: str
    asked_at: int
    expires_at: int
    decision: str | None = None
    decided_by: str | None = None
    decided_at: int | None = None
    reason: str = ""
    outcome: str | None = None
    says: str = ""


_WAITS = table.c.decision.is_(None)


def add(connection: sa.Connection, made: Proposal) -> None:
    values = {name: getattr(made, name) for name in Proposal.__dataclass_fields__}
    values["account_id"] = values.pop("account")
    connection.execute(table.insert().values(values))


def get(connection: sa.Connection, id: str) -> Proposal | None:
    row = connection.execute(sa.select(table).where(table.c.id == id)).one_or_none()
    return None if row is None else _proposal(row)


def waiting_for(
    connection: sa.Connection, deed: str, sha256: str, asked_by: str, now: int
) -> Proposal | None:
    """The same, asked for by the same person, that waits already."""
    query = sa.select(table).where(
        table.c.deed == deed,
        table.c.request_sha256 == sha256,
        table.c.asked_by == asked_by,
        _WAITS,
        table.c.expires_at > now,
    )
    row = connection.execute(query.limit(1)).first()
    return None if row is None else _proposal(row)


def search(
    connection: sa.Connection, *, waiting_at: int | None, before: str | None, limit: int | None
) -> Sequence[Proposal]:
    """The newest first, with ids below `before`; those that wait at an instant, or all."""
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if waiting_at is not None:
        query = query.where(_WAITS, table.c.expires_at > waiting_at)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_proposal(row) for row in connection.execute(query)]


def decide(connection: sa.Connection, id: str, decision: str, by: str, reason: str, now: int) -> bool:
    """False if it does not wait: of any number who decide at once, one does."""
    done = connection.execute(
        table.update()
        .where(table.c.id == id, _WAITS, table.c.expires_at > now)
        .values(decision=decision, decided_by=by, decided_at=now, reason=reason)
    )
    return bool(done.rowcount)


def finish(connection: sa.Connection, id: str, outcome: str, says: str) -> None:
    connection.execute(table.update().where(table.c.id == id).values(outcome=outcome, says=says))


def _proposal(row: sa.Row[Any]) -> Proposal:
    held = dict(row._mapping)
    return Proposal(account=held.pop("account_id"), **held)
