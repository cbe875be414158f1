"""What the middleware costs a request, in microseconds of a processor: rate limits, and the guard that gives
ids, bounds bodies and secures answers. `.venv/bin/python -m scripts.bench_middleware`"""

from __future__ import annotations

import asyncio
import hashlib
import time
from types import SimpleNamespace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.api.door import Keyring
from billing.api.middleware import Guard
from billing.api.rate_limits import RateLimits
from billing.repository.keys import ApiKey
from metering.clock import now_instant
from metering.settings import Settings

REQUESTS, ROUNDS = 20_000, 7
SECRET = f"bk_ingest_{'x' * 43}"
NEVER = "999999999/60"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"2"), (b"content-type", b"application/json")],
}


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(dict(START))
    await send({"type": "http.response.body", "body": b"{}"})


async def send(_message: Message) -> None:
    pass


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


def door(**limits: str) -> Any:
    """As much of one as a limit asks for, with a key that was good before."""
    keyring = Keyring()
    digest = hashlib.sha256(SECRET.encode()).digest()
    keyring.put(digest, ApiKey("key_1", "bk_", "ingest", None, 0), 0, 0)
    settings = Settings(_env_file=None, **limits)
    return SimpleNamespace(keyring=keyring, service=SimpleNamespace(settings=settings, now=now_instant))


def scope(path: str, *, key: bool) -> Scope:
    headers = [(b"host", b"x"), (b"user-agent", b"y"), (b"content-type", b"application/json")]
    if key:
        headers.append((b"authorization", b"Bearer " + SECRET.encode()))
    return {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "state": {},
        "client": ("192.0.2.1", 50_000), "headers": headers,
    }  # fmt: skip


async def measure(measured: ASGIApp, asked: Scope) -> float:
    """The fastest round: what else the machine did is no cost of ours."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(REQUESTS):
            await measured(asked, receive, send)
        best = min(best, time.process_time() - begun)
    return best / REQUESTS * 1e6


async def main() -> None:
    events, accounts = scope("/v1/events", key=True), scope("/v1/accounts", key=True)
    nobody = scope("/v1/accounts", key=False)
    alone = await measure(app, events)
    for name, measured, asked in (
        ("rate limits, events (off)", RateLimits(app, door()), events),
        ("rate limits, events", RateLimits(app, door(rate_limit_events=NEVER)), events),
        ("rate limits, a key", RateLimits(app, door(rate_limit_key=NEVER)), accounts),
        ("rate limits, an address", RateLimits(app, door(rate_limit_address=NEVER)), nobody),
        ("the guard, events", Guard(app), events),
        ("the guard, a document", Guard(app), accounts),
    ):
        print(f"{name}: {await measure(measured, asked) - alone:.1f}")


if __name__ == "__main__":
    asyncio.run(main())
