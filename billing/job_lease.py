"""Of several services one does a job at a time."""

from __future__ import annotations

from contextlib import ExitStack

from billing.app import Service
from billing.audit.actor import SCHEDULE, acting
from billing.repository import jobs
from metering.database import writing
from metering.period import MINUTE_US

# A job that works longer than this loses its lease to another service; both are then safe, only slower.
LEASE_US = 15 * MINUTE_US


class JobLease:
    """The right of one service to do a job: None where another has it."""

    def __init__(self, service: Service, name: str, holder: str) -> None:
        self._service = service
        self._name = name
        self._holder = holder
        self._held = False
        self._acting = ExitStack()

    def __enter__(self) -> jobs.Lease | None:
        now = self._service.now()
        with writing(self._service.engine) as connection:
            lease = jobs.take(connection, self._name, self._holder, now, now + LEASE_US)
        self._held = lease is not None
        self._acting.enter_context(acting(SCHEDULE))
        return lease

    def __exit__(self, *_: object) -> None:
        self._acting.close()
        if self._held:
            with writing(self._service.engine) as connection:
                jobs.release(connection, self._name, self._holder)
