"""A request's body: as bytes, to a limit, so that what is too long is refused before it is held; and as a
document in one of several formats."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import Request

from billing.api.problems import ProblemError
from billing.api.turns import Turn
from billing.errors import Invalid

_SUFFIX_OF: Mapping[str, str] = {
    "application/json": ".json",
    "application/yaml": ".yaml",
    "application/toml": ".toml",
}


async def read_document(request: Request) -> tuple[str, str]:
    """A document as its text, and a name whose suffix says how to read it. Raises ProblemError (415), or
    Invalid."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    suffix = _SUFFIX_OF.get(content_type)
    if suffix is None:
        raise ProblemError(
            415, f"Content-Type {content_type!r} is not read here; send one of {', '.join(_SUFFIX_OF)}"
        )
    try:
        text = (await request.body()).decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8 text", field="body") from None
    return text, f"the body{suffix}"


def declared_length(header: str | None) -> int:
    """What Content-Length says; 0 where it says nothing."""
    return int(header) if header is not None and header.isascii() and header.isdigit() else 0


async def read_body(request: Request, limit: int, turn: Turn) -> bytes:
    """Waits for its turn where it is large. Raises ProblemError: 413 past `limit` bytes, at once where the
    length is declared; 408 where the rest of a large body takes too long."""
    declared = declared_length(request.headers.get("content-length"))
    if declared > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(None) as in_time:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
                if turn.is_needed(size):
                    seconds = await turn.wait(declared or limit)
                    in_time.reschedule(asyncio.get_running_loop().time() + seconds)
    except TimeoutError:
        raise ProblemError(
            408, f"the body did not come within {seconds:g} s of its turn; send it in smaller batches"
        ) from None
    return b"".join(chunks)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"the body is larger than {limit >> 20} MiB; send it in smaller batches")
