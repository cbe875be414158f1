"""Errors as RFC 9457 problems: `application/problem+json` with `type`, `title`, `status`, `detail`, the
`field` at fault where there is one, and the `request_id` that the log has too.

    NotFound 404 · Refused 409 · Invalid, PricingError 422        the operations' own errors
    BadWebhook 400 · TryAgain 503 · NeedsOperator 502             Stripe's
    PrefectError 502                                              a Prefect server's
    the database cannot be used 503 · anything unexpected 500     said without its details; the log has them
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from billing.errors import BillingError, Invalid, NotFound, Refused
from billing.moving.closing import is_closed
from billing.payments.errors import BadWebhook, NeedsOperator, PaymentError, TryAgain
from billing.pricing.errors import PricingError
from metering.collecting.errors import PrefectError
from metering.database import may_not_write, says_full
from metering.database_file import DatabaseReplaced
from metering.store.clickhouse.errors import EventsUnavailable

_log = logging.getLogger("billing.api")

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "2"

_STATUS_OF: Mapping[type[Exception], int] = {
    NotFound: 404,
    Refused: 409,
    Invalid: 422,
    PricingError: 422,
    BadWebhook: 400,
    TryAgain: 503,
    NeedsOperator: 502,
    PrefectError: 502,
}


_UNREACHABLE = (
    sa.exc.OperationalError,
    # The statements of events go to the drivers themselves.
    sqlite3.OperationalError,
    psycopg.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.TimeoutError,
    EventsUnavailable,
)


class Problem(BaseModel):
    """What went wrong, in one sentence that says what to do."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "detail": "from must be on a whole hour, for example 2026-10-03T02:00:00Z",
                    "field": "from",
                    "request_id": "b1f9c2a8d4e0",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    request_id: str | None = None


class ProblemError(Exception):
    """A problem that a door finds by itself."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.field = field
        self.headers = headers
        self.more = more


def problem(
    status: int,
    detail: str,
    *,
    request_id: str | None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """`more` may hold a `type`, where the problem's has a name."""
    body: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body["detail"] = detail
    if field is not None:
        body["field"] = field
    if request_id is not None:
        body["request_id"] = request_id
    # A text of the sender may hold what UTF-8 cannot say.
    text = msgspec.json.encode(_sound(body | more))
    return Response(text, status, dict(headers or {}), MEDIA_TYPE)


def problem_of(error: Exception, request_id: str | None) -> Response:
    """The problem that an exception is; the log gets those that the sender cannot know more of."""
    if isinstance(error, ProblemError):
        return problem(
            error.status,
            str(error),
            request_id=request_id,
            field=error.field,
            headers=error.headers,
            **error.more,
        )
    if isinstance(error, BillingError | PricingError | PaymentError | PrefectError):
        status = next(_STATUS_OF[kind] for kind in type(error).__mro__ if kind in _STATUS_OF)
        headers = {"Retry-After": RETRY_SECONDS} if status == 503 else None
        field = getattr(error, "field", None)
        return problem(status, str(error), request_id=request_id, field=field, headers=headers)
    _log.error("request %s failed", request_id, exc_info=error)
    if says_full(error):
        return problem(
            503,
            "the disk of the database is full; once there is room, try again",
            request_id=request_id,
            headers={"Retry-After": RETRY_SECONDS},
        )
    if isinstance(error, DatabaseReplaced):
        return problem(503, str(error), request_id=request_id, headers={"Retry-After": RETRY_SECONDS})
    if isinstance(error, _UNREACHABLE) or is_closed(error) or may_not_write(error):
        return problem(
            503,
            "the database cannot be used right now; try again in a moment",
            request_id=request_id,
            headers={"Retry-After": RETRY_SECONDS},
        )
    return problem(500, "something went wrong here; the log has more", request_id=request_id)


def install(app: FastAPI) -> None:
    """Answer every error of a route as a problem."""
    ours = (ProblemError, BillingError, PricingError, PaymentError, PrefectError)
    for kind in (*ours, sa.exc.SQLAlchemyError, EventsUnavailable):
        app.add_exception_handler(kind, _operation_failed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _not_valid)


def request_id_of(request: Request) -> str | None:
    found: str | None = getattr(request.state, "request_id", None)
    return found


async def _operation_failed(request: Request, error: Exception) -> Response:
    return problem_of(error, request_id_of(request))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, detail = error.status_code, error.detail
    field: str | None = getattr(error, "field", None)
    if status == 404:
        detail = f"there is nothing at {request.url.path}; see /openapi.json"
    elif status == 405:
        return _no_such_method(request, _methods(request))
    elif status == 400:  # the framework's word for bytes that it could not make a text of
        status, detail, field = 422, "the body is not JSON in UTF-8; send it in UTF-8", "body"
    return problem(status, detail, request_id=request_id_of(request), field=field, headers=error.headers)


def _no_such_method(request: Request, methods: list[str]) -> Response:
    return problem(
        405,
        f"{request.method} is not possible at {request.url.path}; see /openapi.json",
        request_id=request_id_of(request),
        headers={"Allow": ", ".join(methods)},
    )


def _methods(request: Request) -> list[str]:
    """What is possible at an address. Each method is a route of its own to the framework, which tells of one;
    and an address that is a thing's own is not taken for another thing's id."""
    paths: dict[str, Any] = request.app.openapi()["paths"]
    place = request.url.path
    if place not in paths:
        place = next((path for path in paths if compile_path(path)[0].match(place)), place)
    return sorted(method.upper() for method in paths.get(place, {"get": {}}))


async def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if request.method not in (methods := _methods(request)):
        return _no_such_method(request, methods)
    first: Mapping[str, Any] = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "body"
    if first["type"] == "json_invalid":
        field = "body"
        detail = f"the body is not valid JSON: {first['ctx']['error']}"
    elif first["type"] == "missing":
        detail = f"{field} is missing; give it"
    elif first["type"] == "extra_forbidden":
        detail = f"{field} is not known here; leave it out, or see /openapi.json for what is"
    else:
        detail = f"{field}: {str(first['msg']).removeprefix('Value error, ')}"
    return problem(422, detail, request_id=request_id_of(request), field=field)


def _sound(value: Any) -> Any:
    """The value without lone surrogates, which JSON may smuggle into a text."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_sound(name): _sound(held) for name, held in value.items()}
    return value
