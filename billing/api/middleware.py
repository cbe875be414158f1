"""What every request passes through: it gets an id, its body is bounded in length, depth and encoding, its
answer is secured, and nothing unexpected leaks."""

from __future__ import annotations

import itertools
import re
import secrets

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.api.bodies import declared_length
from billing.api.headers import secure, securing
from billing.api.nesting import is_deeper
from billing.api.problems import problem, problem_of
from billing.audit.actor import NOBODY, act
from metering.sources.document import is_other_than_utf_8

# Documents are small; events come through a route that bounds its body by itself.
MAX_DOCUMENT_BYTES = 1 << 20
# Of 100,000 task runs by their ids.
MAX_LIST_BYTES = 16 << 20
LISTS = frozenset({"/v1/corrections"})
# Arrays and objects in one another; what we read has six.
MOST_NESTED = 64
# Its events are nested as deep as the decoder follows, and one that is deeper is an event that is rejected.
BOUNDS_ITSELF = "/v1/events"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII).fullmatch


class Guard:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, public_url: str = "") -> None:
        self._app = app
        self._secure = securing(public_url)
        # Random bits for each request would make it wait for the interpreter's lock.
        self._process = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID(given) else f"{self._process}-{next(self._numbers)}"
        scope.setdefault("state", {})["request_id"] = request_id
        act(NOBODY, request_id)  # until it has shown a key
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                secure(message, request_id, self._secure)
            await send(message)

        try:
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                # No id, name or cursor holds one, and PostgreSQL could not even look for it.
                refusal = problem(
                    422, "the address holds a NUL character; leave it out", request_id=request_id
                )
                await refusal(scope, receive, answer)
            elif scope["path"] == BOUNDS_ITSELF:
                await self._app(scope, receive, answer)
            elif headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
                refusal = problem(
                    415,
                    "a body is compressed that is read as it is; send it without Content-Encoding",
                    request_id=request_id,
                    field="Content-Encoding",
                    headers={"Accept-Encoding": "identity"},
                )
                await refusal(scope, receive, answer)
            elif declared_length(headers.get("content-length")) > (most := _most(scope["path"])):
                refusal = problem(413, _too_large(most), request_id=request_id)
                await refusal(scope, receive, answer)
            else:
                is_json = "json" in headers.get("content-type", "json")
                await self._app(scope, _bounded(receive, most, is_json), answer)
        except ClientDisconnect:
            pass  # nobody is left to answer
        except Exception as error:
            refusal = problem_of(error, request_id)
            if started:
                raise  # the server breaks off the answer, so that it does not look whole
            await refusal(scope, receive, answer)


def _most(path: str) -> int:
    return MAX_LIST_BYTES if path in LISTS else MAX_DOCUMENT_BYTES


def _too_large(most: int) -> str:
    return f"the body is larger than {most} bytes; send less"


class _WrongBody(HTTPException):
    field = "body"


def _bounded(receive: Receive, most: int, is_json: bool) -> Receive:
    """The body, refused as soon as it is too long; and before anything is built of it, if it is too deep."""
    room = most
    parts: list[bytes] = []

    async def bounded() -> Message:
        nonlocal room
        message = await receive()
        part = message.get("body", b"")
        room -= len(part)
        if room < 0:
            raise HTTPException(413, _too_large(most))
        if is_json:
            parts.append(part)
            if not message.get("more_body"):
                text = b"".join(parts)
                if is_other_than_utf_8(text):
                    raise _WrongBody(422, "the body is not JSON in UTF-8; send it in UTF-8")
                if is_deeper(text, MOST_NESTED):
                    raise _WrongBody(422, f"the body is nested more than {MOST_NESTED} deep; send it flatter")
        return message

    return bounded
