"""The audit trail's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.audit.actor import OPERATOR
from billing.audit.entry import BEGUN, Entry, parse_states
from billing.audit_tables import audit_end, audit_entries

_PAGE = 1000


class Wanted(NamedTuple):
    """Which entries: of a whole deed (`key.revoked`) or of all that begin with one (`key`); by one
    (`operator ada`) or by all of a kind (`operator`); from an instant on and before another."""

    account: str | None = None
    subject: str | None = None
    deed: str | None = None
    by: str | None = None
    since: int | None = None
    until: int | None = None


class End(NamedTuple):
    """How many entries there are, and the seal of the last."""

    number: int
    seal: str


def end(connection: sa.Connection, *, lock: bool = False) -> End | None:
    """With `lock`, nobody else adds entries before this transaction ends. None where somebody removed it, or
    added another."""
    query = sa.select(audit_end.c.entries, audit_end.c.seal)
    rows = connection.execute(query.with_for_update() if lock else query).all()
    return End(rows[0].entries, rows[0].seal) if len(rows) == 1 else None


def add(connection: sa.Connection, entry: Entry) -> None:
    """The next entry, by who has locked the end."""
    connection.execute(
        audit_entries.insert().values(
            number=entry.number,
            at=entry.at,
            author=entry.by,
            request=entry.request,
            deed=entry.deed,
            kind=entry.kind,
            subject=entry.subject,
            account_id=entry.account,
            reason=entry.reason,
            states=json.dumps(entry.states),
            detail=entry.detail,
            detail_sha256=entry.detail_sha256,
            seal=entry.seal,
        )
    )
    connection.execute(audit_end.update().values(entries=entry.number, seal=entry.seal))


def every(connection: sa.Connection) -> Iterator[Entry]:
    """All entries in their order, some thousand at a time."""
    query = sa.select(audit_entries).order_by(audit_entries.c.number)
    for page in connection.execute(query, execution_options={"yield_per": _PAGE}).partitions():
        for row in page:
            yield _entry(row)


def of_kind(connection: sa.Connection, kind: str) -> Iterator[Entry]:
    """Those of a kind by what they are of and when, some thousand at a time."""
    columns = audit_entries.c
    query = sa.select(audit_entries).where(columns.kind == kind)
    query = query.order_by(columns.subject, columns.at, columns.number)
    for page in connection.execute(query, execution_options={"yield_per": _PAGE}).partitions():
        for row in page:
            yield _entry(row)


ASKED = "invoice.void_asked"


def was_asked(connection: sa.Connection, invoice_id: str, author: str | None, reason: str | None) -> bool:
    """Whether the trail has it that somebody asked for the void of an invoice, for a reason. Of an
    `operator` it knows the name. True for an invoice that is older than the trail."""
    columns = audit_entries.c
    asked = sa.select(columns.author, columns.reason).where(
        columns.subject == invoice_id, columns.kind == "invoice", columns.deed == ASKED
    )
    for row in connection.execute(asked):
        if row.reason == reason and author in (row.author, OPERATOR):
            return True
    begun = sa.select(columns.number).where(
        columns.deed == BEGUN,
        columns.kind == "invoice",
        columns.states.contains(f'"{invoice_id}"', autoescape=True),
    )
    return connection.execute(begun.limit(1)).first() is not None


def search(
    connection: sa.Connection, wanted: Wanted, *, before: int | None = None, limit: int | None = None
) -> list[Entry]:
    """Entries, the last first, with numbers below `before`."""
    columns = audit_entries.c
    query = sa.select(audit_entries).order_by(columns.number.desc())
    if wanted.account is not None:
        query = query.where(columns.account_id == wanted.account)
    if wanted.subject is not None:
        query = query.where(columns.subject == wanted.subject)
    if wanted.deed is not None:
        begins = columns.deed.startswith(f"{wanted.deed}.", autoescape=True)
        query = query.where(sa.or_(columns.deed == wanted.deed, begins))
    if wanted.by is not None:
        named = columns.author.startswith(f"{wanted.by} ", autoescape=True)
        query = query.where(sa.or_(columns.author == wanted.by, named))
    if wanted.since is not None:
        query = query.where(columns.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(columns.at < wanted.until)
    if before is not None:
        query = query.where(columns.number < before)
    return [_entry(row) for row in connection.execute(query.limit(limit))]


def get(connection: sa.Connection, number: int) -> Entry | None:
    row = connection.execute(sa.select(audit_entries).where(audit_entries.c.number == number)).one_or_none()
    return None if row is None else _entry(row)


def author_of(connection: sa.Connection, deed: str, subject: str) -> str | None:
    """Who did something to a thing, the last time."""
    columns = audit_entries.c
    query = sa.select(columns.author).where(columns.deed == deed, columns.subject == subject)
    return connection.execute(query.order_by(columns.number.desc()).limit(1)).scalar_one_or_none()


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        row.number,
        row.at,
        row.author,
        row.request,
        row.deed,
        row.kind,
        row.subject,
        row.account_id,
        row.reason,
        parse_states(row.states),
        row.detail,
        row.detail_sha256,
        row.seal,
    )
