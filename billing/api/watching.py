"""Every request is counted and timed by its route, and those that went wrong, or took long, have a line in
the log: with the route, not the address, which may be a link to somebody's pages."""

from __future__ import annotations

from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.api.metrics import Metrics
from billing.links import PLACE
from billing.operators import PLACE as CONSOLE
from metering.settings import Settings

log = structlog.get_logger()

# Seconds from which on a request has a line in any case.
SLOW = 1.0
# Who watches the service asks all the time.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_EVENTS = "/v1/events"


class Watch:
    """An ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, metrics: Metrics, settings: Settings) -> None:
        self._app = app
        self._metrics = metrics
        self._says_all = settings.log_requests == "all"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = perf_counter() - begun
            route = route_of(scope)
            self._metrics.request(route, scope["method"], status, seconds)
            if status >= 400 or seconds >= SLOW or (self._says_all and route not in _QUIET):
                say = log.error if status >= 500 else log.info
                say(
                    "request",
                    method=scope["method"],
                    route=route,
                    status=status,
                    milliseconds=round(seconds * 1000, 1),
                    request_id=scope.get("state", {}).get("request_id"),
                )


def route_of(scope: Scope) -> str:
    """What was asked for, without what names anybody: the template of a route, or which pages."""
    if scope["path"] == _EVENTS:
        return _EVENTS
    template: str = getattr(scope.get("route"), "path_format", "")
    for place in (PLACE, CONSOLE):
        if scope["path"].startswith(place):
            return place.rstrip("/") + (template or "/")
    return template or "none"
