"""POST /v1/events: the meter's input, and the hot path. No body model: the bytes go to the decoder as they
are, and the answer comes once what was accepted is durable and counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from billing.api.auth import Ingester, bearer, key_of
from billing.api.bodies import read_body
from billing.api.door import Door, TheDoor, answer, door_of
from billing.api.examples import CLOUDEVENT, EVENT, INGESTED, OPENLINEAGE, PREFECT
from billing.api.openapi import KEYED, errors, good
from billing.api.problems import RETRY_SECONDS, ProblemError
from billing.api.turns import Turn
from billing.errors import Invalid
from billing.repository.keys import ApiKey
from metering.bodies import Asked, Read
from metering.database import may_not_write, says_full
from metering.database_file import DatabaseReplaced
from metering.ingestion import IngestReport, Overloaded
from metering.pairing.half import Half
from metering.sources import (
    Admission,
    BodyTooLarge,
    Format,
    Framing,
    UndecodableBody,
)

_log = logging.getLogger("billing.api")

PATH = "/v1/events"
MAX_BODY_BYTES = 32 << 20
# What a zipped byte stands for: events are a tenth or less of themselves.
ZIPPED_WEIGHT = 16

_TYPES: Mapping[str, tuple[Format, Framing]] = {
    "application/json": ("task-run", "json"),
    "application/x-ndjson": ("task-run", "ndjson"),
    "application/ndjson": ("task-run", "ndjson"),
    "application/jsonl": ("task-run", "ndjson"),
    "text/csv": ("airflow", "ndjson"),
    "application/cloudevents+json": ("cloudevents", "json"),
    "application/cloudevents-batch+json": ("cloudevents", "json"),
}

router = APIRouter(tags=["events"])


class IngestError(BaseModel):
    index: int
    field: str
    message: str


class IngestAnswer(BaseModel):
    """Every event handed in, counted as exactly one of four; `errors` are the first 100 rejections."""

    received: int
    accepted: int
    duplicate: int
    ignored: int
    rejected: int
    errors: list[IngestError]


def _content() -> dict[str, Any]:
    both: dict[str, Any] = {"schema": {"type": ["object", "array"]}}
    examples = {
        "one event": {"value": EVENT},
        "a batch": {"value": [EVENT, EVENT | {"task_run_id": "run-2", "state": "FAILED"}]},
        "Prefect": {"summary": "with ?format=prefect&account=acme", "value": [PREFECT]},
        "OpenLineage": {"summary": "with ?format=openlineage&account=acme", "value": OPENLINEAGE},
    }
    cloud = {"examples": {"a CloudEvent": {"value": CLOUDEVENT}}}
    batch = {"examples": {"a batch": {"value": [CLOUDEVENT]}}}
    # Whatever they hold is a text to a schema; what is wrong in one is told in the answer.
    lines = {"examples": {"lines": {"value": _LINES}}}
    return {
        "application/json": both | {"examples": examples},
        "application/x-ndjson": lines,
        "text/csv": {"examples": {"Airflow": {"value": _CSV}}},
        "application/cloudevents+json": both | cloud,
        "application/cloudevents-batch+json": both | batch,
    }


_LINES = '{"account":"acme","task_run_id":"run-1","state":"COMPLETED",…}\n{"account":"acme",…}\n'


_CSV = "dag_id,run_id,task_id,start_date,end_date,state\netl,r1,load,2026-10-03 02:00:00,…,success\n"


@router.post(
    PATH,
    summary="Hand in task-run events",
    openapi_extra={"requestBody": {"required": True, "content": _content()}},
    responses=good(
        IngestAnswer,
        description="What was accepted is durable and counted, even if every event was rejected.",
        content={"application/json": {"example": INGESTED}},
    )
    | KEYED
    | errors(408, 413, 415),
)
async def ingest(
    request: Request,
    door: TheDoor,
    caller: Ingester,
    format: Annotated[
        Literal["auto", "task-run", "cloudevents", "prefect", "openlineage", "airflow"] | None,
        Query(description="What the events are; by default the Content-Type says it."),
    ] = None,
    account: Annotated[
        str | None, Query(description="The account of events that name none.", examples=["acme"])
    ] = None,
) -> Response:
    """One event, a JSON array, or one event a line, up to 32 MiB (64 MiB decompressed); `Content-Encoding:
    gzip` is read. An event that cannot be taken is rejected with its place and field, and the others of its
    batch are kept. Send a batch again whenever you got no answer: what was held already counts as
    `duplicate`. A key bound to an account writes events of that account only."""
    wanted_format, framing = _kind(request, format)
    zipped = _is_zipped(request)
    asked = Asked(
        wanted_format, framing, zipped, _admission(door, caller, account), door.service.store.prepare
    )
    turn = Turn(door.turns, ZIPPED_WEIGHT if zipped else 1)
    try:
        body = await read_body(request, MAX_BODY_BYTES, turn)
        try:
            read = await door.readers.read(asked, body)
        except UndecodableBody as error:
            raise ProblemError(422, str(error), field="body") from None
        except BodyTooLarge as error:
            raise ProblemError(413, str(error)) from None
        del body
        report = IngestReport()
        report.add(read.decoded, [*await _keep(door, read), *await _keep_halves(door, read.decoded.halves)])
    finally:
        turn.end()
    door.metrics.ingested(report)
    return answer(report.to_data())


class Straight:
    """An ASGI middleware that takes plain events to `ingest` itself: to find the route, its dependencies and
    its parameters takes the framework longer than the work takes us. What has a query goes its way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or (scope["method"], scope["path"], scope["query_string"]) != ("POST", PATH, b"")
            or scope.get("root_path")
        ):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        door = await door_of(request)
        caller = await key_of(door, "ingest", bearer(request.headers.get("authorization", "")))
        response = await ingest(request, door, caller)
        await response(scope, receive, send)


def _kind(request: Request, format: Format | None) -> tuple[Format, Framing | None]:
    """Format and framing; no framing where only the body can tell. Raises ProblemError (415)."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not content_type:
        return format or "auto", None
    known = _TYPES.get(content_type)
    if known is None:
        raise ProblemError(
            415,
            f"Content-Type {content_type!r} is not read here; send one of {', '.join(_TYPES)}",
            field="Content-Type",
            headers={"Accept": ", ".join(_TYPES)},
        )
    return format or known[0], known[1]


def _is_zipped(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise ProblemError(
            415,
            f"Content-Encoding {encoding!r} is not read here; send gzip or none",
            field="Content-Encoding",
            headers={"Accept-Encoding": "gzip"},
        )
    return encoding.endswith("gzip")


def _admission(door: Door, caller: ApiKey, account: str | None) -> Admission:
    late_us = door.service.late_us if caller.scope == "ingest" else None
    try:
        return Admission(door.service.now(), caller.account, account, late_us)
    except ValueError as error:
        raise Invalid(f"account: {error}", field="account") from None


async def _keep(door: Door, read: Read) -> Sequence[bool]:
    """Which events were accepted, once they are durable. Raises ProblemError (503): nothing was kept, or we
    cannot know; sent again, nothing is counted twice."""
    if not read.quantity:
        return []
    retry = {"Retry-After": RETRY_SECONDS}
    if door.writer is None:
        raise ProblemError(503, "the service is not running; send the batch again later", headers=retry)
    try:
        waiting = (
            door.writer.submit(read.decoded.events)
            if read.prepared is None
            else door.writer.submit_prepared(read.prepared, read.quantity)
        )
        return await asyncio.wrap_future(waiting)
    except Overloaded as error:
        raise ProblemError(503, str(error), headers=retry) from None
    except Exception as error:
        raise _not_kept(error) from None


async def _keep_halves(door: Door, halves: Sequence[Half]) -> Sequence[bool]:
    """The same for halves of runs, which are metered with those that were held."""
    if not halves:
        return []
    store, now = door.service.store, door.service.now()
    try:
        return await run_in_threadpool(store.append_halves, halves, now)
    except Exception as error:
        raise _not_kept(error) from None


def _not_kept(error: Exception) -> ProblemError:
    _log.exception("events could not be kept")
    if isinstance(error, DatabaseReplaced):
        why = f": {error}"
    else:
        full = ": the disk of the database is full" if says_full(error) else ""
        closed = ": the database may only be read" if may_not_write(error) else ""
        why = f"{full or closed}; send the batch again in a moment"
    return ProblemError(
        503,
        f"the events could not be kept{why}",
        headers={"Retry-After": RETRY_SECONDS},
    )
