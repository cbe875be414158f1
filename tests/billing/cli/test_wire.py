"""What comes off the wire is bounded before it is a request: its address, its headers, and what stands around
a body. Asked of `billing serve` through plain sockets."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from billing.api.headers import securing
from billing.api.wire import MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from billing.app import make_service
from metering.settings import Settings
from tests.billing.cli.test_serve import running

GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"
CHUNKED = b"POST /v1/accounts HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20
# More than any limit, and little enough to be read by a service that has none.
MUCH = 100 * MIB
PIECE = b"a" * (64 << 10)


class Server(NamedTuple):
    process: subprocess.Popen[str]
    port: int

    @property
    def memory(self) -> int:
        """The most it ever took, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


class Heard(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    url = f"sqlite:///{folder / 'billing.db'}"
    service = make_service(Settings(_env_file=None, database_url=url))
    service.init()
    service.store.close()
    public = "https://billing.example.com"
    with running("serve", "--port", "0", BILLING_DATABASE_URL=url, BILLING_PUBLIC_URL=public) as (
        process,
        address,
    ):
        yield Server(process, int(address.rpartition(":")[2]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("wire")) as server:
        yield server


def say(server: Server, pieces: Iterable[bytes]) -> bytes:
    """What is answered, to the end of the connection, to what is sent until nobody reads it any more."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
        heard = b""
        with suppress(OSError):
            while part := connection.recv(1 << 16):
                heard += part
    return heard


def read(heard: bytes) -> Heard:
    head, _, body = heard.partition(b"\r\n\r\n")
    first, *rest = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    return Heard(int(first.split()[1]), headers, body)


def endless(begin: bytes) -> Iterator[bytes]:
    yield begin
    yield from itertools.repeat(PIECE, MUCH // len(PIECE))


TARGET = b"GET /" + b"a" * MAX_TARGET_BYTES + b" HTTP/1.1\r\nHost: here\r\n\r\n"
LARGE = [b"x-%d: " % number + b"y" * 5000 + b"\r\n" for number in range(7)]
MANY = b"".join(b"x-%d: y\r\n" % number for number in range(MAX_HEADERS))
REFUSED: dict[str, tuple[int, str, list[bytes] | Iterator[bytes]]] = {
    "no HTTP": (400, "no HTTP/1.1 request", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"]),
    "a line that is none": (400, "no HTTP/1.1 request", [GET + b"no colon\r\n\r\n"]),
    "a long address": (
        414,
        "address",
        [TARGET],
    ),
    "an address without end": (414, "address", endless(b"GET /")),
    "many headers": (431, "more than 100 headers", [GET + MANY + b"\r\n"]),
    "large headers": (
        431,
        "headers are larger",
        [GET, *LARGE],
    ),
    "a header without end": (431, "headers are larger", endless(GET + b"x: ")),
    "a name without end": (431, "headers are larger", endless(GET)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_large_is_refused_and_the_connection_is_closed(server: Server, name: str) -> None:
    status, says, pieces = REFUSED[name]
    heard = read(say(server, pieces))
    assert heard.status == status
    problem = json.loads(heard.body)
    assert problem["status"] == status and says in problem["detail"]
    assert heard.headers["content-type"] == "application/problem+json"
    assert heard.headers["connection"] == "close"
    assert int(heard.headers["content-length"]) == len(heard.body)
    secured = {key.decode(): value.decode() for key, value in securing("https://billing.example.com")}
    assert "strict-transport-security" in secured
    assert heard.headers.items() >= secured.items()


@pytest.mark.parametrize("around", [b"0\r\nx: ", b"1;", b"1\r\na\r\n0\r\n" + b"x: y\r\n" * 10_000])
def test_what_stands_around_a_body_is_bounded(server: Server, around: bytes) -> None:
    """Trailers, and what a chunk says of itself. A request is under way, which may have been answered (401);
    then the connection ends."""
    heard = say(server, endless(CHUNKED + around))
    assert not heard or read(heard).status in (401, 431)


def test_memory_stays_where_it_was(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        say(server, [GET + b"Connection: close\r\n\r\n"])
        before = server.memory
        for begin in (b"GET /", GET + b"x: ", GET, CHUNKED + b"0\r\nx: ", CHUNKED + b"1;"):
            say(server, endless(begin))
        assert server.memory - before < 16 * MIB


def test_what_is_large_and_allowed_is_answered(server: Server) -> None:
    address = b"/healthz?" + b"a" * (MAX_TARGET_BYTES - 9)
    headers = b"".join(b"x-%d: y\r\n" % number for number in range(MAX_HEADERS - 2))
    large = b"x: " + b"y" * (MAX_HEAD_BYTES - 6000) + b"\r\n"
    for request in (
        b"GET " + address + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
        GET + headers + b"Connection: close\r\n\r\n",
        GET + large + b"Connection: close\r\n\r\n",
    ):
        whole = read(say(server, [request]))
        in_pieces = read(
            say(server, [request[place : place + 1000] for place in range(0, len(request), 1000)])
        )
        assert whole.status == in_pieces.status == 200
    # One after another on one connection, they are counted one by one.
    many = (GET + large + b"\r\n") * 20 + GET + b"Connection: close\r\n\r\n"
    assert say(server, [many]).count(b"HTTP/1.1 200 OK") == 21


def test_a_trailer_is_no_header(server: Server) -> None:
    body = b"2\r\n{}\r\n0\r\nAuthorization: Bearer nothing\r\n\r\n"
    asked = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body
    assert read(say(server, [asked])).status == 401
