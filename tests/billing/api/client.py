"""A client of the real application, in this process: `httpx` over ASGI, with the application's lifespan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from billing.access import NewKey, create_key
from billing.api import Schedule, make_app
from tests.world import World

T = TypeVar("T")


class Client:
    """Asks as an operator unless another key, or None, is given."""

    def __init__(self, world: World, app: FastAPI, portal: BlockingPortal) -> None:
        self.world = world
        self.app = app
        self._portal = portal
        self._admin = self.key("admin").secret

    def key(self, scope: str, account: str | None = None) -> NewKey:
        return create_key(self.world.engine, scope, account, self.world.instant)

    def ask(self, method: str, url: str, *, key: str | None = "admin", **more: Any) -> httpx.Response:
        return self.run(lambda http: http.request(method, url, **self._with_key(key, more)))

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self.ask("GET", url, **more)

    def post(self, url: str, **more: Any) -> httpx.Response:
        return self.ask("POST", url, **more)

    def run(self, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        """Work with an asynchronous client, in the application's loop."""

        async def with_client() -> T:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://billing.test") as http:
                return await work(http)

        return self._portal.call(with_client)

    def authorization(self, key: str | None = "admin") -> dict[str, str]:
        secret = self._admin if key == "admin" else key
        return {} if secret is None else {"Authorization": f"Bearer {secret}"}

    def _with_key(self, key: str | None, more: dict[str, Any]) -> dict[str, Any]:
        return more | {"headers": self.authorization(key) | dict(more.get("headers", {}))}


@contextmanager
def running(world: World, schedule: Schedule | None = None) -> Iterator[Client]:
    app = make_app(world.service, schedule)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        yield Client(world, app, portal)


def assert_problem(
    answer: httpx.Response, status: int, *, field: str | None = None, says: str = ""
) -> dict[str, Any]:
    """The answer is a problem of this status, sound in every part."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"] and body["title"] and body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body.get("field") == field
    assert says in body["detail"]
    return body
