"""`Idempotency-Key` on requests that create: sent again, a request gets the answer it got, and creates
nothing.

The same key and request: the stored answer, with `Idempotent-Replayed: true`. The same key and another
request: 422. While the first is being worked on: 409. A request that failed is forgotten, since it created
nothing: sent again, it is worked on again. One that was cut short by a crash counts as being worked on for
an hour. Keys belong to the API key that sent them. Secrets are not stored: of a new API key the replay has
everything but the key itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from billing.api.auth import Admin, author
from billing.api.door import TheDoor, answer
from billing.api.problems import ProblemError
from billing.app import Service
from billing.errors import Invalid
from billing.repository import idempotency
from billing.repository.idempotency import Remembered
from billing.repository.keys import ApiKey
from metering.database import writing
from metering.period import HOUR_US

_ABANDONED_US = HOUR_US
_LONGEST = 255

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Any text of yours, up to 255 characters: the same key and request create nothing twice."
    ),
]


@dataclass(frozen=True, slots=True)
class Created:
    """What an operation made. `location` is its address; `secret` names the one field that is never
    stored."""

    data: Any
    status: int = 201
    location: str | None = None
    secret: str | None = None

    def answer(self) -> Response:
        return answer(self.data, self.status, _located(self.location))

    def stored(self) -> str:
        data = self.data | {self.secret: None} if self.secret else self.data
        return json.dumps({"data": data, "location": self.location})


@dataclass(frozen=True, slots=True)
class Creating:
    """A request that creates something, of `caller`, an admin key; `key` is its `Idempotency-Key`."""

    service: Service
    request: Request
    caller: ApiKey
    key: str | None

    @property
    def by(self) -> str:
        """Who acts, as it is recorded with what they change."""
        return author(self.caller)

    async def once(self, make: Callable[[], Created]) -> Response:
        """Run `make` in a worker thread and answer what it made; with a key, at most once."""
        if self.key is None:
            return (await run_in_threadpool(make)).answer()
        if not 0 < len(self.key) <= _LONGEST:
            raise Invalid(f"Idempotency-Key must have 1 to {_LONGEST} characters", field="Idempotency-Key")
        digest = _digest(self.request, await self.request.body())
        return await run_in_threadpool(_once, self.service, self.caller, self.key, digest, make)


async def _creating(
    request: Request, door: TheDoor, caller: Admin, idempotency_key: IdempotencyKey = None
) -> Creating:
    return Creating(door.service, request, caller, idempotency_key)


Creates = Annotated[Creating, Depends(_creating)]


def _once(service: Service, caller: ApiKey, key: str, digest: str, make: Callable[[], Created]) -> Response:
    now = service.now()
    with writing(service.engine) as connection:
        before = idempotency.claim(connection, caller.id, key, digest, now, now - _ABANDONED_US)
    if before is not None:
        return _replay(before, digest)
    try:
        made = make()
    except BaseException:
        with writing(service.engine) as connection:
            idempotency.release(connection, caller.id, key)
        raise
    with writing(service.engine) as connection:
        idempotency.remember(connection, caller.id, key, made.status, made.stored())
    return made.answer()


def _replay(before: Remembered, digest: str) -> Response:
    if before.request_sha256 != digest:
        raise Invalid(
            "this Idempotency-Key was sent before with another request; use a new one",
            field="Idempotency-Key",
        )
    if before.status is None or before.body is None:
        raise ProblemError(
            409, "the first request with this Idempotency-Key is still being worked on; ask again later"
        )
    stored = json.loads(before.body)
    return answer(
        stored["data"], before.status, _located(stored["location"]) | {"Idempotent-Replayed": "true"}
    )


def _located(location: str | None) -> dict[str, str]:
    return {} if location is None else {"Location": location}


def _digest(request: Request, body: bytes) -> str:
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(asked + body).hexdigest()
