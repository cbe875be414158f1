"""Who is asking: `Authorization: Bearer KEY`.

Scopes: `ingest` writes events and nothing else, `read` reads, `admin` does everything. A key bound to an
account sees that account only; everything else is not there for it (404).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from billing.access import authenticate, is_live
from billing.api.door import Door, TheDoor
from billing.api.problems import ProblemError
from billing.audit.actor import act, actor
from billing.repository.keys import ApiKey
from billing.terms import no_account

Need = Literal["ingest", "read", "admin"]

_MAY: dict[str, frozenset[Need]] = {
    "ingest": frozenset({"ingest"}),
    "read": frozenset({"read"}),
    "admin": frozenset({"ingest", "read", "admin"}),
}
# The same for each: who has no key is not told which there were.
_REFUSED = "this API key is unknown, revoked or expired"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="billing"'}

_bearer = HTTPBearer(
    scheme_name="key", description="An API key, as `billing keys create` prints it.", auto_error=False
)


def needs(need: Need) -> Callable[..., Awaitable[ApiKey]]:
    """A dependency: the key of the request, which must have the scope."""

    async def caller(
        door: TheDoor, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> ApiKey:
        return await key_of(door, need, given.credentials if given else None)

    return caller


async def key_of(door: Door, need: Need, secret: str | None) -> ApiKey:
    """The key of a secret. Raises ProblemError: 401 without one that is valid, 403 if it lacks the scope."""
    if secret is None:
        raise ProblemError(401, "send an API key: Authorization: Bearer KEY", headers=_CHALLENGE)
    digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
    now = door.service.now()
    key = door.keyring.get(digest, now)
    if key is None:
        generation = door.keyring.generation
        key = await run_in_threadpool(authenticate, door.service.engine, secret, now)
        if key is None:
            raise ProblemError(401, _REFUSED, headers=_CHALLENGE)
        door.keyring.put(digest, key, now, generation)
    elif not is_live(key, now):  # it ended within the second
        raise ProblemError(401, _REFUSED, headers=_CHALLENGE)
    door.key_use.note(key.id, now)
    if need not in _MAY[key.scope]:
        raise ProblemError(403, f"a key of scope {key.scope!r} may not do this; it takes {need!r}")
    act(author(key), actor().request)
    return key


def bearer(authorization: str) -> str | None:
    """The secret in an `Authorization` header, as FastAPI's `HTTPBearer` reads it."""
    scheme, _, secret = authorization.partition(" ")
    return (secret.strip() or None) if scheme.lower() == "bearer" else None


Ingester = Annotated[ApiKey, Depends(needs("ingest"))]
Reader = Annotated[ApiKey, Depends(needs("read"))]
Admin = Annotated[ApiKey, Depends(needs("admin"))]


def check_account(caller: ApiKey, account_id: str) -> None:
    """Raises NotFound for an account other than the one that the key is bound to."""
    if caller.account not in (None, account_id):
        raise no_account(account_id)


def author(caller: ApiKey) -> str:
    """Who acts, as it is recorded with what they change."""
    return f"key {caller.id}"
