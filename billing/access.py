"""API keys: who may do what. A key is shown once, when it is made; only its digest is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.errors import Invalid, NotFound
from billing.ids import new_id
from billing.repository import keys
from billing.repository.keys import ApiKey
from metering.database import reading
from metering.period import format_instant
from metering.sources.fields import is_account

Scope = Literal["ingest", "read", "admin"]

# 256 random bits: guessing one is out of the question, so a plain digest protects it.
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its secret text, together this once."""

    key: ApiKey
    secret: str

    def to_data(self) -> dict[str, object]:
        return {
            "id": self.key.id,
            "key": self.secret,
            "scope": self.key.scope,
            "account": self.key.account,
        }


def create_key(engine: sa.Engine, scope: str, account: str | None, now: int) -> NewKey:
    """Make a key. `ingest` writes events, `read` reads, `admin` does everything; a key bound to an account
    sees that account only. Raises Invalid."""
    if scope not in get_args(Scope):
        raise Invalid(f"scope {scope!r} is not one of ingest, read, admin", field="scope")
    if account is not None and not is_account(account):
        raise Invalid("account must be 1 to 64 of the characters A-Z a-z 0-9 . _ -", field="account")
    if account is not None and scope == "admin":
        raise Invalid("an admin key does everything and cannot be bound to an account", field="account")
    secret = f"bk_{scope}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
    shown = secret[: len(f"bk_{scope}_") + 6]
    key = ApiKey(new_id("key", now), shown, scope, account, now)
    with changing(engine, "key.created", "key", key.id, now=now, account=account) as connection:
        keys.add(connection, key, _digest(secret))
    return NewKey(key, secret)


def first_admin_key(engine: sa.Engine, now: int) -> NewKey | None:
    """An admin key if there was never any key; None otherwise."""
    with reading(engine) as connection:
        if keys.every(connection):
            return None
    return create_key(engine, "admin", None, now)


def authenticate(engine: sa.Engine, secret: str) -> ApiKey | None:
    """The key with this secret, unless it is unknown or revoked."""
    with reading(engine) as connection:
        key = keys.by_digest(connection, _digest(secret))
    return key if key is not None and key.revoked_at is None else None


def list_keys(engine: sa.Engine) -> list[ApiKey]:
    with reading(engine) as connection:
        return keys.every(connection)


def revoke_key(engine: sa.Engine, key_id: str, now: int) -> None:
    """From now on the key is refused. Raises NotFound."""
    with changing(engine, "key.revoked", "key", key_id, now=now) as connection:
        if not keys.revoke(connection, key_id, now):
            raise NotFound(f"there is no key {key_id!r}; see: billing keys list")


def key_data(key: ApiKey) -> dict[str, object]:
    """A key in the shape of JSON answers, without its secret."""
    return {
        "id": key.id,
        "prefix": key.prefix,
        "scope": key.scope,
        "account": key.account,
        "created_at": format_instant(key.created_at),
        "revoked_at": None if key.revoked_at is None else format_instant(key.revoked_at),
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
