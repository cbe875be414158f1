"""Requests with an idempotency key, and the answers they got."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billing.repository.due import APART_US
from billing.tables import idempotent_requests
from metering.database import insert_into


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request, by the digest of what it asks; `status` is None while it is being worked on."""

    request_sha256: str
    status: int | None
    body: str | None
    created_at: int


def claim(
    connection: sa.Connection, api_key_id: str, key: str, request_sha256: str, now: int, abandoned: int
) -> Remembered | None:
    """Take a request on: None if it is ours to work on. Otherwise what is remembered of the one that was
    there first. The same request that was begun before `abandoned` and has no answer is taken over."""
    values = {"api_key_id": api_key_id, "idempotency_key": key, "request_sha256": request_sha256}
    fresh = (
        insert_into(connection, idempotent_requests).values(**values, created_at=now).on_conflict_do_nothing()
    )
    if connection.execute(fresh.returning(idempotent_requests.c.created_at)).one_or_none() is not None:
        return None
    taken_over = connection.execute(
        idempotent_requests.update()
        .where(
            *_is(api_key_id, key),
            idempotent_requests.c.request_sha256 == request_sha256,
            idempotent_requests.c.status.is_(None),
            sa.or_(
                idempotent_requests.c.created_at < abandoned,
                idempotent_requests.c.created_at > now + APART_US,
            ),
        )
        .values(created_at=now)
    )
    if taken_over.rowcount:
        return None
    row = connection.execute(sa.select(idempotent_requests).where(*_is(api_key_id, key))).one()
    return Remembered(row.request_sha256, row.status, row.body, row.created_at)


def remember(connection: sa.Connection, api_key_id: str, key: str, status: int, body: str) -> None:
    """Keep the answer of a request that was claimed."""
    connection.execute(
        idempotent_requests.update().where(*_is(api_key_id, key)).values(status=status, body=body)
    )


def release(connection: sa.Connection, api_key_id: str, key: str) -> None:
    """Give up a request that came to nothing: it may be sent again."""
    connection.execute(
        idempotent_requests.delete().where(*_is(api_key_id, key), idempotent_requests.c.status.is_(None))
    )


def forget_before(connection: sa.Connection, instant: int) -> int:
    """Forget requests begun before an instant; answers how many. Sent again, they are new requests."""
    done = connection.execute(idempotent_requests.delete().where(idempotent_requests.c.created_at < instant))
    return done.rowcount


def _is(api_key_id: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        idempotent_requests.c.api_key_id == api_key_id,
        idempotent_requests.c.idempotency_key == key,
    )
