"""How requests come off the wire: uvicorn's protocol on httptools, with bounds. The parser keeps a head that
does not end for as long as it comes, so its bytes are counted here; and what it refuses is answered as the
rest of the service answers, before any application sees it."""

from __future__ import annotations

from asyncio import Protocol
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from billing.api.headers import Raw
from billing.api.problems import MEDIA_TYPE

MAX_TARGET_BYTES = 8 << 10
MAX_HEAD_BYTES = 32 << 10
MAX_HEADERS = 100
# For the answer to arrive, what a client goes on sending is read for so long, and thrown away.
_LINGER_S = 1.0
# Of each header: a colon, a space, and the end of the line.
_AROUND = 4

_NO_REQUEST = (400, "this is no HTTP/1.1 request that can be read; send one")
_LONG_TARGET = (414, f"the address is longer than {MAX_TARGET_BYTES} bytes; send a shorter one")
_LARGE_HEAD = (
    431,
    f"the headers are larger than {MAX_HEAD_BYTES} bytes together; send fewer or shorter ones",
)
_MANY_HEADERS = (431, f"there are more than {MAX_HEADERS} headers; send fewer")


class _Refused(Exception):  # noqa: N818 - the parser hands it on as an error of a callback
    pass


def bounded(secured: tuple[Raw, ...]) -> type[Protocol]:
    """The protocol for uvicorn; what it refuses by itself gets these headers."""
    return type("BoundedProtocol", (_Bounded,), {"secured": secured})


class _Bounded(HttpToolsProtocol):
    secured: tuple[Raw, ...] = ()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._refusal = _NO_REQUEST
        self._refused = False
        # Bytes that came since something was made of them: of a head, a trailer, or the line before a chunk.
        self._unread = 0
        self._target = self._head = 0
        self._in_head = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES and not self._refused:
            self._refusal = _LARGE_HEAD
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._target = self._head = 0
        self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._target += len(url)
        if self._target > MAX_TARGET_BYTES:
            self._refusal = _LONG_TARGET
            raise _Refused
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value) + _AROUND
        if self._head > MAX_HEAD_BYTES:
            self._refusal = _LARGE_HEAD
            raise _Refused
        if not self._in_head:
            return  # a trailer, after the body: whoever reads the headers has read them
        if len(self.headers) == MAX_HEADERS:
            self._refusal = _MANY_HEADERS
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Whatever the parser refuses ends here, and the connection too. `msg` is the framework's word."""
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an answer now would be taken for that of the request before
            return
        status, detail = self._refusal
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
        body = msgspec.json.encode(problem)
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        head += [name + b": " + value for name, value in (*self.server_state.default_headers, *self.secured)]
        head += [f"content-type: {MEDIA_TYPE}".encode(), f"content-length: {len(body)}".encode()]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)
