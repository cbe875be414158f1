"""Rate limits: by key, apart for events, and by address for whoever has shown no key that was good here. The
headers and the problem are those of the IETF's draft `draft-ietf-httpapi-ratelimit-headers`.

Each service counts for itself, in memory: a limit costs a look at a dictionary.
"""

from __future__ import annotations

import hashlib
import ipaddress

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.api.door import Door
from billing.api.problems import problem
from billing.api.quotas import Quota, Taken, quota
from billing.links import PLACE
from billing.operators import PLACE as CONSOLE
from metering.settings import Settings

EVENTS = "/v1/events"
# Whoever watches the service is never sent away.
FREE = frozenset({"/healthz", "/readyz"})
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_PAGES = (PLACE, CONSOLE)


class RateLimits:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door
        settings: Settings = door.service.settings
        self._events = quota("events", settings.rate_limit_events)
        self._key = quota("key", settings.rate_limit_key)
        self._address = quota("address", settings.rate_limit_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        limit, subject = self._whose(scope)
        if limit is None:
            await self._app(scope, receive, send)
            return
        taken = limit.take(subject, self._door.service.now())
        told = _headers(limit, taken)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        if taken.allowed:
            await self._app(scope, receive, answer)
        else:
            await _refusal(scope, limit, taken)(scope, receive, answer)

    def _whose(self, scope: Scope) -> tuple[Quota | None, str]:
        """Which limit a request falls under, and who is counted: a key that was good here before by its id,
        whatever came of it since; everybody else by their address, however many keys they try."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, secret = value.partition(b" ")
                if kind.lower() == b"bearer":
                    key = self._door.keyring.known(hashlib.sha256(secret.strip()).digest())
                    if key is not None:
                        return (self._events if scope["path"] == EVENTS else self._key), key.id
                break
        if self._address is None:
            return None, ""
        client = scope.get("client")
        return self._address, network_of(client[0]) if client else "unknown"


def network_of(address: str) -> str:
    """Who is behind an address: one of IPv6 has a whole network to itself, and counts as that.

    >>> network_of("192.0.2.1"), network_of("2001:db8:1:2:3::4"), network_of("::ffff:192.0.2.1")
    ('192.0.2.1', '2001:db8:1:2::', '192.0.2.1')
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))


def _headers(limit: Quota, taken: Taken) -> tuple[tuple[bytes, bytes], ...]:
    now = f'"{limit.name}";r={taken.left};t={taken.seconds}'.encode()
    return (b"ratelimit-policy", limit.policy), (b"ratelimit", now)


def _refusal(scope: Scope, limit: Quota, taken: Taken) -> Response:
    says = f"more than {limit.requests} requests in {limit.seconds} seconds; try again in {taken.seconds}"
    retry = {"Retry-After": str(taken.seconds)}
    if scope["path"].startswith(_PAGES):
        return PlainTextResponse(f"{says[:1].upper()}{says[1:]} seconds.\n", 429, retry)
    return problem(
        429,
        f"{says} seconds",
        request_id=scope.get("state", {}).get("request_id"),
        field=None,
        headers=retry,
        **{"type": QUOTA_EXCEEDED, "violated-policies": [limit.name]},
    )
