"""What every answer says to a browser that gets hold of it: take it for what it is called, keep no copy, run
and frame nothing. Pages say more, and for themselves (`billing.pages.visit`, `billing.console.visit`)."""

from __future__ import annotations

from starlette.types import Message

Raw = tuple[bytes, bytes]

_ALWAYS: tuple[Raw, ...] = (
    (b"x-content-type-options", b"nosniff"),
    # What is answered to a key is for who has it; a shared cache could give it to others.
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_HTTPS: Raw = (b"strict-transport-security", b"max-age=31536000")


def securing(public_url: str) -> tuple[Raw, ...]:
    """The headers of an installation. Where customers reach it by https, browsers are told to use nothing
    else for a year."""
    return (*_ALWAYS, _HTTPS) if public_url.startswith("https://") else _ALWAYS


def secure(message: Message, request_id: str, headers: tuple[Raw, ...]) -> None:
    """Give the start of an answer its request's id, and those headers that it does not have."""
    held: list[Raw] = list(message.get("headers", ()))
    names = {name.lower() for name, _ in held}
    held.append((b"x-request-id", request_id.encode()))
    held += [each for each in headers if each[0] not in names]
    message["headers"] = held
