"""The description at /openapi.json: what FastAPI derives, with our errors as they are sent."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from billing.api import problems
from billing.api.problems import Problem

DESCRIPTION = """\
Meters task runs and bills success: only runs that succeed and last longer than a second count.

Send `Authorization: Bearer KEY`. Scopes: `ingest` writes events, `read` reads, `admin` does everything; a key
bound to an account sees that account only, everything else is 404 to it. Amounts are integers in the
currency's minor unit, prices decimals in the major unit, instants RFC 3339 in UTC. Errors are
`application/problem+json` (RFC 9457) with one sentence that says what to do; `X-Request-Id` names a request
in our log. Lists are pages: `?limit&cursor`, and the `Link` header names the next one. Too many requests get
429, with `RateLimit`, `RateLimit-Policy` and `Retry-After`. What takes two persons is answered 202, with the
proposal that another approves."""

TAGS = [
    {"name": "events", "description": "What ran: the meter's input."},
    {"name": "corrections", "description": "The operator's own word on task runs."},
    {"name": "sources", "description": "Where task runs come from, and to when that is complete."},
    {"name": "accounts", "description": "Who is billed."},
    {"name": "credit", "description": "What accounts have in hand, and the referrals that earn it."},
    {"name": "usage", "description": "What counts and what does not, and what it would cost."},
    {"name": "plans", "description": "Price schedules; a version never changes."},
    {"name": "backtests", "description": "What other prices would have made of what really ran."},
    {"name": "contracts", "description": "Committed usage: task runs that are paid for in advance."},
    {"name": "invoices", "description": "What was billed, and the proof of it."},
    {"name": "disputes", "description": "What customers say is billed wrongly, and the answers."},
    {"name": "links", "description": "The way to the customer's pages."},
    {"name": "alerts", "description": "Free runs, budgets and committed runs that are nearly used up."},
    {"name": "webhook endpoints", "description": "Addresses that are told of what happens."},
    {"name": "deliveries", "description": "What was sent by webhook and by mail."},
    {"name": "billing runs", "description": "A month's usage becomes invoices."},
    {"name": "reconciliations", "description": "What ran, what was invoiced and what Stripe has, compared."},
    {"name": "anomalies", "description": "Signs of misuse: figures to look at, never an accusation."},
    {"name": "reports", "description": "What finance asks of a month."},
    {"name": "exports", "description": "A month as a file, for other programs."},
    {"name": "keys", "description": "Who may do what."},
    {"name": "overviews", "description": "What an operator looks at, as the console shows it."},
    {"name": "operators", "description": "Who may sign in to the operator's console."},
    {"name": "proposals", "description": "Changes that take two persons: one asks, another approves."},
    {"name": "audit", "description": "Who changed what, when, from what to what."},
    {"name": "stripe", "description": "What Stripe tells us."},
    {"name": "health", "description": "For whoever runs the service."},
]

_SENTENCES = {
    "400": "The request cannot be trusted.",
    "401": "No API key, or one that is unknown, revoked or expired.",
    "403": "The key's scope is too small.",
    "404": "There is no such thing, or the key may not see it.",
    "409": "The state of things does not allow it.",
    "429": "Too many requests; `RateLimit` and `Retry-After` say when to go on.",
    "408": "The rest of a large body did not come in time; send smaller batches.",
    "413": "The body is past the limit.",
    "415": "The body's type or encoding is not one that is read here.",
    "422": "A value is not usable; `field` names it.",
    "502": "Stripe refuses, or holds something else than we do; or a Prefect server cannot be asked.",
    "503": "Not possible right now; try again after `Retry-After` seconds.",
}
Responses = dict[int | str, dict[str, Any]]


def good(model: Any, status: int = 200, **more: Any) -> Responses:
    """The answer of a route where all went well, for its `responses`."""
    return {status: {"model": model, **more}}


def errors(*statuses: int) -> Responses:
    """The errors of a route, for its `responses`."""
    return {status: {"model": Problem, "description": _SENTENCES[str(status)]} for status in statuses}


# What every route with a key may answer.
KEYED = errors(401, 403, 422, 429, 503)
# What stands before every route refuses bodies that are too long or compressed, a NUL in an address, and too
# many requests.
_BEFORE = errors(413, 415, 422, 429)


def complete(app: FastAPI) -> None:
    """Give the application a description in which errors have their own media type."""
    derive = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = derive()
            for path in schema["paths"].values():
                for operation in path.values():
                    for status, response in _BEFORE.items():
                        operation["responses"].setdefault(str(status), _described(response))
                    _mark_errors(operation["responses"])
            _say_shapes(schema)
            _link(schema["paths"])
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _described(response: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": response["description"], "content": content}


# What names a thing in its address, where that is not its id.
_NAMED_BY = {"plan": "plan", "source": "source", "number": "number"}


def _link(paths: dict[str, Any]) -> None:
    """Say where things lead that are listed or made: what is at `/things` has a name that
    `/things/{thing_id}/…` take (links of OpenAPI)."""
    for target, operations in paths.items():
        listed, _, rest = target.partition("/{")
        name = rest.partition("}")[0]
        if listed not in paths or not name:
            continue
        key = _NAMED_BY.get(name, "id")
        for method, status, where in (("get", "200", f"0/{key}"), ("post", "201", key)):
            answer = paths[listed].get(method, {"responses": {}})["responses"].get(status)
            if answer is not None:
                answer.setdefault("links", {}).update(
                    (each["operationId"], _leading_to(each, name, where)) for each in operations.values()
                )


def _leading_to(operation: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    return {"operationId": operation["operationId"], "parameters": {name: f"$response.body#/{where}"}}


# What a description says of a text, for machines. It is read by us, who say better what is wrong with one.
_SHAPES = {
    "`YYYY-MM-DD`": {"format": "date"},
    "`YYYY-MM`": {"pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"},
    "RFC 3339": {"format": "date-time"},
}


def _say_shapes(said: Any) -> None:
    if isinstance(said, list):
        for each in said:
            _say_shapes(each)
    elif isinstance(said, dict):
        shape = next((shape for word, shape in _SHAPES.items() if word in str(said.get("description"))), None)
        schema = said.get("schema", said)
        for each in schema.get("anyOf", [schema]) if shape and isinstance(schema, dict) else ():
            if each.get("type") == "string":
                each.update(shape)
        for each in said.values():
            _say_shapes(each)


def _mark_errors(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400" and "application/json" in response.get("content", {}):
            response["content"] = {problems.MEDIA_TYPE: response["content"]["application/json"]}
