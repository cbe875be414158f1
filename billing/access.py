"""API keys: who may do what. A key is shown once, when it is made; only its digest is kept. It lasts until it
is revoked, or ends by itself: at a time that was set, or some hours after another took its place.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa

from billing.audit.trail import change, changing
from billing.errors import Invalid, NotFound, Refused
from billing.ids import new_id
from billing.repository import keys
from billing.repository.keys import ApiKey
from billing.spans import parse_span
from metering.database import reading, writing
from metering.period import DAY_US, format_instant, parse_bound
from metering.sources.fields import is_account

Scope = Literal["ingest", "read", "admin"]
State = Literal["live", "revoked", "expired"]

# How long an old key lasts beside the new one: long enough to put the new one everywhere.
DEFAULT_OVERLAP_US = DAY_US
MOST_OVERLAP_US = 366 * DAY_US

# 256 random bits: guessing one is out of the question, so a plain digest protects it.
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its secret text, together this once."""

    key: ApiKey
    secret: str

    def to_data(self) -> dict[str, object]:
        data: dict[str, object] = {
            "id": self.key.id,
            "key": self.secret,
            "scope": self.key.scope,
            "account": self.key.account,
        }
        if self.key.expires_at is not None:
            data["expires_at"] = format_instant(self.key.expires_at)
        return data


def create_key(
    engine: sa.Engine, scope: str, account: str | None, now: int, *, expires: int | None = None
) -> NewKey:
    """Make a key. `ingest` writes events, `read` reads, `admin` does everything; a key bound to an account
    sees that account only. It is refused from the instant `expires` on; None: until it is revoked. Raises
    Invalid."""
    if scope not in get_args(Scope):
        raise Invalid(f"scope {scope!r} is not one of ingest, read, admin", field="scope")
    if account is not None and not is_account(account):
        raise Invalid("account must be 1 to 64 of the characters A-Z a-z 0-9 . _ -", field="account")
    if account is not None and scope == "admin":
        raise Invalid("an admin key does everything and cannot be bound to an account", field="account")
    if expires is not None and expires <= now:
        raise Invalid(f"expires {format_instant(expires)} is over; give a time to come", field="expires")
    made = _new_key(scope, account, now, expires)
    with writing(engine) as connection:
        _add(connection, made, now)
    return made


def rotate_key(
    engine: sa.Engine, key_id: str, now: int, *, overlap: int = DEFAULT_OVERLAP_US, expires: int | None = None
) -> tuple[NewKey, ApiKey]:
    """A new key with the scope and account of another, which ends by itself after `overlap` microseconds.
    A key that was to end had a length of life: the new one has the same, unless `expires` is given. Answers
    the new key, and the old one as it is now. Raises NotFound, Invalid, or Refused for a key that has ended
    or was rotated before."""
    if not 0 <= overlap <= MOST_OVERLAP_US:
        raise Invalid(
            "overlap must be at most 366d; a key that is needed longer is not rotated", field="overlap"
        )
    if expires is not None and expires <= now:
        raise Invalid(f"expires {format_instant(expires)} is over; give a time to come", field="expires")
    with writing(engine) as connection, change(connection, "key.rotated", "key", key_id, now=now):
        old = keys.get(connection, key_id)
        if old is None:
            raise _no_key(key_id)
        if not is_live(old, now):
            raise Refused(f"key {key_id} is {state_of(old, now)}; make a new one: billing keys create")
        if old.replaced_by is not None:
            raise Refused(f"key {key_id} was rotated already, to {old.replaced_by}; rotate that one")
        if expires is None and old.expires_at is not None:
            expires = now + old.expires_at - old.created_at
        made = _new_key(old.scope, old.account, now, expires)
        _add(connection, made, now)
        keys.replace(connection, key_id, made.key.id, now + overlap)
        left = keys.get(connection, key_id)
    assert left is not None
    return made, left


def _new_key(scope: str, account: str | None, now: int, expires: int | None) -> NewKey:
    secret = f"bk_{scope}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
    shown = secret[: len(f"bk_{scope}_") + 6]
    return NewKey(ApiKey(new_id("key", now), shown, scope, account, now, expires_at=expires), secret)


def _add(connection: sa.Connection, made: NewKey, now: int) -> None:
    key = made.key
    with change(connection, "key.created", "key", key.id, now=now, account=key.account):
        keys.add(connection, key, _digest(made.secret))


def first_admin_key(engine: sa.Engine, now: int) -> NewKey | None:
    """An admin key if there was never any key; None otherwise."""
    with reading(engine) as connection:
        if keys.every(connection):
            return None
    return create_key(engine, "admin", None, now)


def authenticate(engine: sa.Engine, secret: str, now: int) -> ApiKey | None:
    """The key with this secret, unless it is unknown, revoked or expired."""
    with reading(engine) as connection:
        key = keys.by_digest(connection, _digest(secret))
    return key if key is not None and is_live(key, now) else None


def is_live(key: ApiKey, now: int) -> bool:
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def state_of(key: ApiKey, now: int) -> State:
    if key.revoked_at is not None:
        return "revoked"
    return "live" if is_live(key, now) else "expired"


def read_end(text: str | None, now: int) -> int | None:
    """When a key is to end: an instant (RFC 3339), a day (its beginning, UTC), or a length of time from
    now on (90d). None: it does not. Raises Invalid."""
    if text is None:
        return None
    text = text.strip()
    try:
        if text[-1:].isalpha() and text[:1].isdigit() and "T" not in text:
            return now + parse_span(text)
        return parse_bound(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError:
        says = f"expires {text[:40]!r} is no instant, day or length of time; write 2027-01-01 or 90d"
        raise Invalid(says, field="expires") from None


def read_overlap(text: str) -> int:
    """How long an old key lasts beside the new one. Raises Invalid."""
    try:
        return parse_span(text)
    except ValueError as error:
        raise Invalid(f"overlap: {error}", field="overlap") from None


def list_keys(engine: sa.Engine) -> list[ApiKey]:
    with reading(engine) as connection:
        return keys.every(connection)


def revoke_key(engine: sa.Engine, key_id: str, now: int) -> None:
    """From now on the key is refused. Raises NotFound."""
    with changing(engine, "key.revoked", "key", key_id, now=now) as connection:
        if not keys.revoke(connection, key_id, now):
            raise _no_key(key_id)


def keep_last_use(engine: sa.Engine, at: Mapping[str, int]) -> None:
    """Keep when some keys, by their ids, were used last."""
    with writing(engine) as connection:
        keys.used(connection, at)


def key_data(key: ApiKey) -> dict[str, object]:
    """A key in the shape of JSON answers, without its secret."""
    return {
        "id": key.id,
        "prefix": key.prefix,
        "scope": key.scope,
        "account": key.account,
        "created_at": format_instant(key.created_at),
        "revoked_at": _instant(key.revoked_at),
        "expires_at": _instant(key.expires_at),
        "replaced_by": key.replaced_by,
        "last_used_at": _instant(key.last_used_at),
    }


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"there is no key {key_id!r}; see: billing keys list")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
