"""/healthz and /readyz, for whoever runs the service. They need no key and tell no secret."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from fastapi import APIRouter, Response
from pydantic import BaseModel

from billing.api.door import Door, TheDoor, answer
from billing.api.openapi import errors, good
from billing.api.problems import ProblemError
from billing.moving.closing import left_for
from billing.schema import is_current
from metering.database import may_write, reading
from metering.database_file import DatabaseReplaced
from metering.room import has_room
from metering.store.clickhouse.errors import EventsUnavailable
from metering.store.clickhouse.home import complaint
from metering.store.sql import SqlEventStore

_log = logging.getLogger("billing.api")

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    alive: bool


class Ready(BaseModel):
    """`schedule` holds the next time of each job; it is null where no schedule runs."""

    ready: bool
    checks: dict[str, str]
    schedule: dict[str, str] | None


@router.get("/healthz", summary="Whether the process lives", responses=good(Alive))
async def healthz() -> Response:
    return answer({"alive": True})


@router.get(
    "/readyz",
    summary="Whether the service can do its work",
    responses=good(Ready) | errors(503),
)
def readyz(door: TheDoor) -> Response:
    """The database is reachable and may be written, its schema current, the writer of events alive, and so is
    ClickHouse where it keeps the events. If not, the problem's `checks` say which."""
    checks = {"database": _database(door), "schema": _schema(door), "writer": _writer(door)}
    if not isinstance(door.service.store, SqlEventStore):
        checks["events"] = _events(door)
    schedule = None if door.schedule is None else door.schedule.next_times()
    wrong = [f"{name}: {state}" for name, state in checks.items() if state != "ok"]
    if wrong:
        raise ProblemError(503, "; ".join(wrong), checks=checks, schedule=schedule)
    return answer({"ready": True, "checks": checks, "schedule": schedule})


def _database(door: Door) -> str:
    try:
        if not may_write(door.service.engine):
            return "may only be read; let the service write it"
        if not has_room(door.service.engine):
            return "its disk is full; make room"
    except DatabaseReplaced as error:
        return str(error)
    except sa.exc.SQLAlchemyError:
        _log.exception("the database cannot be reached")
        return "cannot be reached; see the log"
    return "ok"


def _schema(door: Door) -> str:
    try:
        if not is_current(door.service.engine):
            return "missing or older; run: billing init"
        with reading(door.service.engine) as connection:
            place = left_for(connection)
        return f"moved to {place}; set BILLING_DATABASE_URL to it" if place else "ok"
    except sa.exc.SQLAlchemyError:
        return "cannot be read"


def _events(door: Door) -> str:
    try:
        return complaint(door.service.engine, door.service.store) or "ok"
    except (EventsUnavailable, sa.exc.SQLAlchemyError):
        _log.exception("the events cannot be reached")
        return "cannot be reached; see the log"


def _writer(door: Door) -> str:
    return "ok" if door.writer is not None and door.writer.alive else "not running; restart the service"
