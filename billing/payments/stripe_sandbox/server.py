"""The sandbox over HTTP on loopback: a thin shell around StripeSandbox, and a thread that sends webhooks."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from billing.payments.stripe_sandbox import control
from billing.payments.stripe_sandbox.sandbox import TEST_KEY, StripeSandbox
from billing.payments.stripe_sandbox.wire import Answer, Request

_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]
_TICK_S = 0.2


class _Protocol(HttpToolsProtocol):
    """Hands the connection to the application, so that a fault can close it without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A listener that was opened here is not known as TCP to asyncio, which then waits to fill packets.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


def application(sandbox: StripeSandbox, closing: threading.Event) -> Starlette:
    """The ASGI application: /sandbox/… is the sandbox's own API, everything else is Stripe's."""

    async def stripe_api(http: HttpRequest) -> Response:
        request = Request(
            method=http.method,
            path=http.url.path,
            query=http.url.query,
            body=await http.body(),
            headers={name.lower(): value for name, value in http.headers.items()},
        )
        ticket = sandbox.receive(request)
        await _pass(ticket.wait_s, closing)
        return await _respond(http, sandbox.complete(ticket), closing)

    async def control_api(http: HttpRequest) -> Response:
        body = await http.body()
        try:
            data = json.loads(body) if body else {}
            if not isinstance(data, dict):
                raise ValueError("the body must be a JSON object")
            return JSONResponse(control.act(sandbox, http.method, http.url.path, data))
        except LookupError as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return Starlette(
        routes=[
            Route("/sandbox", control_api, methods=_METHODS),
            Route("/sandbox/{rest:path}", control_api, methods=_METHODS),
            Route("/{rest:path}", stripe_api, methods=_METHODS),
        ]
    )


async def _respond(http: HttpRequest, answer: Answer, closing: threading.Event) -> Response:
    if answer.delivery != "send":
        if answer.delivery == "hang":
            await _pass(answer.delay_s, closing)
        # Without an answer on the wire: what is written after this goes nowhere.
        http.scope["state"]["transport"].abort()
    return Response(answer.body, status_code=answer.status or 500, headers=dict(answer.headers))


async def _pass(seconds: float, closing: threading.Event) -> None:
    """Let real time pass, but never keep the server from stopping."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end and not closing.is_set():
        await asyncio.sleep(min(0.05, end - loop.time()))


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is being served. `url` is the base address for the SDK, without a slash at its end."""

    url: str
    webhook_secret: str
    state: StripeSandbox
    api_key: str = TEST_KEY


@contextmanager
def running_sandbox(
    sandbox: StripeSandbox | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    deliver_webhooks: bool = True,
) -> Iterator[RunningSandbox]:
    """Serve a sandbox from a thread of this process; port 0 takes a free one. Stops when the block ends.

    With `deliver_webhooks` a thread does what time makes due and sends webhooks; without it the caller drives
    both, by `sandbox.work_due()` and `sandbox.deliver(send)`.
    """
    sandbox = sandbox or StripeSandbox()
    closing = threading.Event()
    listener = socket.create_server((host, port))
    server = uvicorn.Server(
        uvicorn.Config(
            application(sandbox, closing),
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    threads = [threading.Thread(target=server.run, args=([listener],), name="stripe-sandbox", daemon=True)]
    if deliver_webhooks:
        work = _worker(sandbox, closing)
        threads.append(threading.Thread(target=work, name="stripe-sandbox-webhooks", daemon=True))
    for thread in threads:
        thread.start()
    try:
        while not server.started and threads[0].is_alive():
            time.sleep(0.002)
        address = f"http://{host}:{listener.getsockname()[1]}"
        yield RunningSandbox(address, sandbox.webhook_secret, sandbox)
    finally:
        closing.set()
        sandbox.on_webhook()
        server.should_exit = True
        for thread in threads:
            thread.join(timeout=5)
        listener.close()


def run_forever(
    host: str = "127.0.0.1",
    port: int = 12111,
    *,
    sandbox: StripeSandbox | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted, and say what a client needs: the address, a key, the webhook secret."""
    with running_sandbox(sandbox, host=host, port=port) as running, suppress(KeyboardInterrupt):
        say(f"Stripe sandbox at {running.url}")
        say(f"  BILLING_STRIPE_API_BASE={running.url}")
        say(f"  BILLING_STRIPE_API_KEY={running.api_key}")
        say(f"  BILLING_STRIPE_WEBHOOK_SECRET={running.webhook_secret}")
        say(
            f"  Its own API: {running.url}/sandbox "
            "(requests, webhook_endpoints, deliveries, faults, advance, bank)"
        )
        threading.Event().wait()


def _worker(sandbox: StripeSandbox, closing: threading.Event) -> Callable[[], None]:
    """What happens by itself at Stripe: due work, and webhooks sent and retried."""
    wake = threading.Event()
    sandbox.on_webhook = wake.set

    def work() -> None:
        with httpx.Client(timeout=10) as client:

            def send(url: str, body: bytes, headers: dict[str, str]) -> int:
                try:
                    return client.post(url, content=body, headers=headers).status_code
                except httpx.HTTPError:
                    return 0

            while not closing.is_set():
                wake.clear()
                sandbox.work_due()
                if not sandbox.deliver(send):
                    wake.wait(_TICK_S)

    return work
