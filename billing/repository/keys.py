"""API keys: only the digest of a key is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billing.tables import api_keys


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. `prefix` is the part of the key by which people recognise it. It is refused
    from `expires_at` on; `replaced_by` is the key that takes its place then, if it was rotated.
    `last_used_at` is written a minute at a time."""

    id: str
    prefix: str
    scope: str
    account: str | None
    created_at: int
    revoked_at: int | None = None
    expires_at: int | None = None
    replaced_by: str | None = None
    last_used_at: int | None = None


def add(connection: sa.Connection, key: ApiKey, secret_sha256: str) -> None:
    connection.execute(
        api_keys.insert().values(
            id=key.id,
            prefix=key.prefix,
            secret_sha256=secret_sha256,
            scope=key.scope,
            account_id=key.account,
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
    )


def get(connection: sa.Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(sa.select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else _key(row)


def by_digest(connection: sa.Connection, secret_sha256: str) -> ApiKey | None:
    row = connection.execute(
        sa.select(api_keys).where(api_keys.c.secret_sha256 == secret_sha256)
    ).one_or_none()
    return None if row is None else _key(row)


def every(connection: sa.Connection) -> list[ApiKey]:
    return [_key(row) for row in connection.execute(sa.select(api_keys).order_by(api_keys.c.id))]


def revoke(connection: sa.Connection, key_id: str, now: int) -> bool:
    """False if there is no such key; one that is revoked already keeps its time."""
    done = connection.execute(
        api_keys.update()
        .where(api_keys.c.id == key_id)
        .values(revoked_at=sa.func.coalesce(api_keys.c.revoked_at, now))
    )
    return bool(done.rowcount)


def replace(connection: sa.Connection, key_id: str, by: str, ends: int) -> None:
    """Another key takes its place: it ends then, if it does not end before."""
    sooner = sa.case((api_keys.c.expires_at < ends, api_keys.c.expires_at), else_=ends)
    connection.execute(
        api_keys.update().where(api_keys.c.id == key_id).values(replaced_by=by, expires_at=sooner)
    )


def replaced_by(connection: sa.Connection, key_id: str) -> list[str]:
    """The keys that one took the place of."""
    query = sa.select(api_keys.c.id).where(api_keys.c.replaced_by == key_id)
    return list(connection.scalars(query))


def used(connection: sa.Connection, at: Mapping[str, int]) -> None:
    """When some keys were used last, by their ids; another service may know of a later time."""
    last = api_keys.c.last_used_at
    connection.execute(
        api_keys.update()
        .where(api_keys.c.id == sa.bindparam("key"), sa.or_(last.is_(None), last < sa.bindparam("at")))
        .values(last_used_at=sa.bindparam("at")),
        [{"key": key, "at": instant} for key, instant in sorted(at.items())],
    )


def _key(row: sa.Row[Any]) -> ApiKey:
    return ApiKey(
        row.id,
        row.prefix,
        row.scope,
        row.account_id,
        row.created_at,
        row.revoked_at,
        row.expires_at,
        row.replaced_by,
        row.last_used_at,
    )
