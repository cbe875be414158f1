"""The real service at a real address, with faults between its socket and its application."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from billing.access import create_key
from billing.api import make_app
from tests.world import World

Headers = dict[str, str]


class Faulty:
    """An ASGI application around the service. `faults` befall the next posts of events, one each: a status
    (with headers), "cut" (the service has the events, the answer never comes), or "pass"."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.faults: list[tuple[int, Headers] | str] = []
        self.largest: int | None = None
        self.posts: list[dict[str, str]] = []
        self.met = threading.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/events":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.posts.append(headers)
        fault = self.faults.pop(0) if self.faults else "pass"
        if self.largest is not None and int(headers["content-length"]) > self.largest:
            fault = 413, {}
        if isinstance(fault, tuple):
            await _answer(send, *fault)
        elif fault == "cut":
            await self._app(scope, receive, _nowhere)
            # Announced and never sent: the server closes the connection.
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]}
            )
        else:
            await self._app(scope, receive, send)
        self.met.release()


async def _answer(send: Send, status: int, headers: Headers) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b""})


async def _nowhere(_message: Any) -> None:
    pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(world: World, port: int = 0) -> Iterator[tuple[str, Faulty]]:
    """The address, and the faults to come."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()  # who connects from now on is served once the server has started
    app = Faulty(make_app(world.service))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def ingest_key(world: World) -> str:
    return create_key(world.engine, "ingest", "acme", world.instant).secret
