"""What the routes share: the service, the one writer of events, the keys seen lately, the schedule."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from anyio import CapacityLimiter
from fastapi import Depends, Request, Response

from billing.api.key_use import KeyUse
from billing.api.turns import Turns
from billing.app import Service
from billing.repository.keys import ApiKey
from metering.bodies import Readers
from metering.ingestion import GroupCommit
from metering.period import SECOND_US

if TYPE_CHECKING:
    from billing.api.metrics import Metrics

_log = logging.getLogger("billing.api")

WEBHOOK_THREADS = 8
# A key that another process revokes is refused here after at most so long.
_KEY_LIFE_US = SECOND_US


class Schedule(Protocol):
    """Jobs that run beside the routes; started and stopped with them."""

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def next_times(self) -> dict[str, str]:
        """The next time (RFC 3339) of each job, by its name."""


class Keyring:
    """Keys that were checked within the last second, by the digest of their secret. Only valid keys are
    held, so it stays small; when one is revoked here, all are forgotten at once."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[ApiKey, int]] = {}
        self.generation = 0

    def get(self, digest: bytes, now: int) -> ApiKey | None:
        held = self._held.get(digest)
        return held[0] if held is not None and 0 <= now - held[1] < _KEY_LIFE_US else None

    def known(self, digest: bytes) -> ApiKey | None:
        """A key that was good here, however long ago."""
        held = self._held.get(digest)
        return None if held is None else held[0]

    def put(self, digest: bytes, key: ApiKey, now: int, generation: int) -> None:
        """Not if keys were forgotten since `generation`: this one may be among the revoked."""
        if generation == self.generation:
            self._held[digest] = (key, now)

    def forget(self) -> None:
        self.generation += 1
        self._held = {}


class Door:
    """`writer` and `schedule` live as long as the application runs."""

    def __init__(self, service: Service, schedule: Schedule | None, metrics: Metrics) -> None:
        self.service = service
        self.schedule = schedule
        self.metrics = metrics
        self.keyring = Keyring()
        self.key_use = KeyUse(service.engine)
        self.readers = Readers()
        self.turns = Turns()
        self.writer: GroupCommit | None = None
        # Webhooks wait for Stripe: they take no threads from those who only ask us.
        self.webhook_threads = CapacityLimiter(WEBHOOK_THREADS)

    def start(self) -> None:
        try:
            self.service.store.catch_up(self.service.now())
        except Exception:  # it is done again before a billing run, and daily
            _log.exception("what starts and ends of runs came to before a crash is not metered yet")
        self.readers = Readers()
        self.turns = Turns()
        self.writer = GroupCommit(self.service.store, self.service.now)
        self.key_use.start()
        if self.schedule is not None:
            self.schedule.start()

    def stop(self) -> None:
        """Write what waits, then stop."""
        if self.schedule is not None:
            self.schedule.stop()
        if self.writer is not None:
            self.writer.close()
        self.key_use.stop()


async def door_of(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(door_of)]


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(data), status, headers, "application/json")
