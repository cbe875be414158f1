"""billing serve"""

from __future__ import annotations

import gc
import signal
import socket
from contextlib import suppress
from typing import Annotated

import typer

from billing.cli.commands import command
from billing.cli.output import note
from billing.cli.service import open_service
from metering.period import format_instant

Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for every one.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]


def add_to(app: typer.Typer) -> None:
    command(app, "serve", example="billing serve --host 127.0.0.1 --port 8000")(serve)


def serve(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Serve the HTTP interface, in one process, until interrupted. With BILLING_SCHEDULE=on it also runs the
    month after its grace period and sends what waits, by itself."""
    with open_service() as service, listening(host, port) as listener, suppress(KeyboardInterrupt):
        import uvicorn

        from billing.api import make_app
        from billing.api.headers import securing
        from billing.api.wire import bounded
        from billing.jobs import Schedule, next_billing_run

        schedule = Schedule(service) if service.settings.schedule == "on" else None
        config = uvicorn.Config(
            make_app(service, schedule),
            loop="auto",
            http=bounded(securing(service.settings.public_url)),
            ws="none",
            # Senders that keep a connection for a minute find it open: five seconds, the default, are less
            # than many of them wait between two batches, and just as long as httpx keeps one.
            timeout_keep_alive=75,
            access_log=False,
            log_level="warning",
            server_header=False,
        )
        address = url_of(listener)
        note(f"Serving at {address}, described at {address}/openapi.json; stop with Ctrl-C")
        if schedule is not None:
            note(f"The schedule is on; the next billing run: {format_instant(next_billing_run(service))}")
        gc.collect()
        gc.freeze()  # what is there now stays: no need to look through it again
        # Once it has stopped, uvicorn sends itself what stopped it, and SIGTERM would end the process before
        # connections are closed: SQLite saves its log when the last one is.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        uvicorn.Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A listener, made before the server starts so that a port in use is one clear sentence."""
    from billing.errors import Refused

    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise Refused(f"{host} is not an address of this machine; choose another with --host") from None
    # The protocol is named, or asyncio does not know it for TCP and waits to fill packets.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise Refused(f"cannot listen on {host} port {port}: {reason}; choose another with --port") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The address for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
