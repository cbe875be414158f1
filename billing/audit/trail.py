"""Writes the audit trail: a change and its entry are one transaction, so there is none without the other.

Entries are written last in a transaction: all writers wait for one another there, and do so for as short as
can be.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from billing.audit.actor import OPERATOR, actor
from billing.audit.entry import BEGUN, Deed, Digest, Said, Step, difference, sealed
from billing.errors import Refused
from billing.repository import audit
from billing.repository.audited import AT_ONCE, KINDS, digests, ids, lock, observed, shown
from metering.database import at_the_end, writing


@contextmanager
def changing(
    engine: sa.Engine,
    deed: str,
    kind: str,
    subject: str,
    *,
    now: int,
    by: str | None = None,
    account: str | None = None,
    reason: str = "",
) -> Iterator[sa.Connection]:
    """A transaction that changes a thing, and its entry in the trail. `deed` is what was done, in the past
    tense: `key.revoked`. There is no entry if nothing changed."""
    with (
        writing(engine) as connection,
        change(connection, deed, kind, subject, now=now, by=by, account=account, reason=reason),
    ):
        yield connection


@contextmanager
def change(
    connection: sa.Connection,
    deed: str,
    kind: str,
    subject: str,
    *,
    now: int,
    by: str | None = None,
    account: str | None = None,
    reason: str = "",
) -> Iterator[None]:
    """The same within the caller's transaction."""
    lock(connection, kind, subject)
    before = observed(connection, kind, subject)
    yield
    after = observed(connection, kind, subject)
    if before.state != after.state:
        whose = subject if kind == "account" else account
        detail = _shown(kind, difference(before.state, after.state))
        note(
            connection,
            deed,
            kind,
            subject,
            now=now,
            by=by,
            account=whose,
            reason=reason,
            detail=detail,
            states={subject: Step(before.digest, after.digest)},
        )


def changed_many(
    connection: sa.Connection,
    deed: str,
    kind: str,
    subjects: Sequence[str],
    *,
    now: int,
    was: Mapping[str, Digest],
    by: str | None = None,
) -> None:
    """One entry for things that were made or changed together, within the caller's transaction. `was`: their
    `digests` from before; what is not in it was made now. The entry does not say what of them changed."""
    for at in range(0, len(subjects), AT_ONCE):
        some = subjects[at : at + AT_ONCE]
        steps = {each: Step(was.get(each), held) for each, held in digests(connection, kind, some).items()}
        detail = {"subjects": len(some)}
        note(connection, deed, kind, "", now=now, by=by, detail=detail, states=steps)


def note(
    connection: sa.Connection,
    deed: str,
    kind: str,
    subject: str,
    *,
    now: int,
    by: str | None = None,
    account: str | None = None,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    states: Mapping[str, Said] | None = None,
) -> None:
    """An entry, at the end of the caller's transaction."""
    who = actor()
    name = who.name if by in (None, OPERATOR) else by
    assert name is not None
    more = {**(detail or {}), **who.under}
    done = Deed(deed, kind, subject, account, name, who.request, now, reason, more, states or {})
    at_the_end(connection, partial(_append, deed=done))


def begin(connection: sa.Connection, now: int) -> None:
    """The first entries, of what was there before there was a trail. Nothing if there are any entries."""
    last = audit.end(connection)
    if last is None or last.number:
        return
    for kind in KINDS:
        for some in ids(connection, kind):
            changed_many(connection, BEGUN, kind, some, now=now, was={})


def _append(connection: sa.Connection, deed: Deed) -> None:
    last = audit.end(connection, lock=True)
    if last is None:
        raise Refused(
            "the audit trail has lost its end, so nothing can be added to it: somebody wrote to the database."
            " Restore the table audit_end from a backup, then: billing audit verify"
        )
    (entry,) = sealed([deed], last.number, last.seal, secrets.token_hex(8))
    audit.add(connection, entry)


def _shown(kind: str, said: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    return {when: shown(kind, rows) for when, rows in said.items()}
