"""A request's body as bytes, to a limit: what is too long is refused before it is held."""

from __future__ import annotations

from fastapi import Request

from billing.api.problems import ProblemError


def declared_length(header: str | None) -> int:
    """What Content-Length says; 0 where it says nothing."""
    return int(header) if header is not None and header.isascii() and header.isdigit() else 0


async def read_body(request: Request, limit: int) -> bytes:
    """Raises ProblemError (413) past `limit` bytes, at once where the length is declared."""
    if declared_length(request.headers.get("content-length")) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    room = limit
    async for chunk in request.stream():
        room -= len(chunk)
        if room < 0:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"the body is larger than {limit >> 20} MiB; send it in smaller batches")
