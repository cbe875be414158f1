"""What was agreed with accounts: changes that are only ever added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billing.pricing.terms import Change
from billing.pricing.terms_data import change_from_data, change_to_data
from billing.repository.parts import parts
from billing.tables import account_terms, accounts

# Entries that change no terms. An application to a program that was turned down is kept with its facts.
REFUSED = "program_refused"
# What happened to the account as a whole.
CLOSED = "closed"
REOPENED = "reopened"
NOT_TERMS = (REFUSED, CLOSED, REOPENED)


@dataclass(frozen=True, slots=True)
class TermsEntry:
    """A change as it was recorded. `data` is in the shape of `terms_data`, and may hold facts beside it, such
    as those of an application. `amendment`: it reached into a month that was invoiced already."""

    entry: int
    kind: str
    data: Mapping[str, Any]
    amendment: bool
    author: str
    reason: str
    recorded_at: int


def add(
    connection: sa.Connection,
    account_id: str,
    entry: int,
    change: Change,
    *,
    facts: Mapping[str, Any] | None = None,
    amendment: bool = False,
    by: str,
    reason: str = "",
    now: int,
) -> None:
    """Record a change under a number that was taken in the account's books. `facts` go beside its data."""
    kind, data = change_to_data(change)
    values = TermsEntry(entry, kind, {**(facts or {}), **data}, amendment, by, reason, now)
    add_entry(connection, account_id, values)


def add_entry(connection: sa.Connection, account_id: str, entry: TermsEntry) -> None:
    connection.execute(
        account_terms.insert().values(
            account_id=account_id,
            entry=entry.entry,
            kind=entry.kind,
            data=json.dumps(dict(entry.data)),
            amendment=entry.amendment,
            author=entry.author,
            reason=entry.reason,
            recorded_at=entry.recorded_at,
        )
    )


def history(connection: sa.Connection, account_id: str) -> list[TermsEntry]:
    """All that was recorded for an account, in order."""
    query = sa.select(account_terms).where(account_terms.c.account_id == account_id)
    return [
        TermsEntry(
            row.entry,
            row.kind,
            json.loads(row.data),
            row.amendment,
            row.author,
            row.reason,
            row.recorded_at,
        )
        for row in connection.execute(query.order_by(account_terms.c.entry))
    ]


def accounts_with(connection: sa.Connection, kind: str) -> list[str]:
    """The accounts for which a change of a kind was ever recorded, in order."""
    query = sa.select(account_terms.c.account_id).where(account_terms.c.kind == kind).distinct()
    return sorted(connection.scalars(query))


def said_of_all(connection: sa.Connection) -> Sequence[sa.Row[str, str, str]]:
    """All changes of all accounts' terms, in their order, as they are kept: account, kind, and data as text,
    since most accounts agreed to what others did, and each is read once."""
    columns = account_terms.c
    query = sa.select(columns.account_id, columns.kind, columns.data).where(columns.kind.not_in(NOT_TERMS))
    return connection.execute(query.order_by(columns.entry)).all()


def changes(
    connection: sa.Connection, ids: list[str], *, before: int | None = None
) -> dict[str, list[Change]]:
    """The changes of several accounts, in order; those with a number below `before`, where given."""
    found: dict[str, list[Change]] = {account_id: [] for account_id in ids}
    for part in parts(ids):
        query = (
            sa.select(account_terms)
            .where(account_terms.c.account_id.in_(part), account_terms.c.kind.not_in(NOT_TERMS))
            .order_by(account_terms.c.account_id, account_terms.c.entry)
        )
        if before is not None:
            query = query.where(account_terms.c.entry < before)
        for row in connection.execute(query):
            found[row.account_id].append(change_from_data(row.kind, json.loads(row.data)))
    return found


_OF_ONE = (
    sa.select(account_terms.c.kind, account_terms.c.data)
    .select_from(
        accounts.outerjoin(
            account_terms,
            (account_terms.c.account_id == accounts.c.id) & account_terms.c.kind.not_in(NOT_TERMS),
        )
    )
    .where(accounts.c.id == sa.bindparam("account"))
    .order_by(account_terms.c.entry)
)


def changes_of_one(connection: sa.Connection, account_id: str) -> list[Change] | None:
    """The same of one account; None if there is no such account."""
    rows = connection.execute(_OF_ONE, {"account": account_id}).all()
    if not rows:
        return None
    return [change_from_data(kind, json.loads(data)) for kind, data in rows if kind is not None]
