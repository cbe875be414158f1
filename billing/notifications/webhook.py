"""One attempt to deliver a webhook: an HTTP request that is signed, bounded in time and size, and goes
nowhere but to the address that was checked."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from billing.notifications.addresses import NotAllowed, check_parts, resolve

# From the first byte to the last one that is read.
TIMEOUT_SECONDS = 15.0
CONNECT_SECONDS = 5.0
# Of the answer so much is read and kept, to help whoever looks for what went wrong.
ANSWER_BYTES = 1000

USER_AGENT = "success-billing-webhooks/1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt came to. `error` is None where it was taken; `gone`: there will never be anybody."""

    status: int | None = None
    body: str | None = None
    error: str | None = None
    gone: bool = False


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Send a body; whatever goes wrong is in the answer. Redirects are not followed."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _post(url, body, headers, private=private)
    except NotAllowed as error:
        return Answer(error=f"not sent: the address {error}")
    except TimeoutError:
        return Answer(error=f"no answer within {timeout_seconds:g} seconds")
    except OSError as error:
        return Answer(error=f"the host was not found: {error.strerror or error}")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Answer(error=f"no answer: {error or type(error).__name__}")


async def _post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> Answer:
    read = urlsplit(url)
    check_parts(read, private=private)
    host = read.hostname or ""
    port = read.port or (443 if read.scheme == "https" else 80)
    address = await asyncio.to_thread(resolve, host, port, private=private)
    # To the address that was looked up, in the name of the host: for its certificate too.
    there = httpx.URL(url).copy_with(host=address)
    sent = {**headers, "Host": read.netloc, "User-Agent": USER_AGENT, "Content-Type": "application/json"}
    timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
    async with (
        httpx.AsyncClient(
            timeout=timeout, follow_redirects=False, trust_env=False, verify=_certificates()
        ) as client,
        client.stream("POST", there, content=body, headers=sent, extensions={"sni_hostname": host}) as answer,
    ):
        return _judge(answer.status_code, await _beginning(answer))


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a request."""
    return httpx.create_ssl_context(trust_env=False)


async def _beginning(answer: httpx.Response) -> str:
    """The first bytes of a body as they came, so that what is packed stays packed."""
    held = b""
    try:
        async for part in answer.aiter_raw():
            held += part
            if len(held) >= ANSWER_BYTES:
                break
    except httpx.HTTPError:
        pass  # its status has come, and that is what decides
    return held[:ANSWER_BYTES].decode("utf-8", "replace").replace("\x00", "�")


def _judge(status: int, body: str) -> Answer:
    if 200 <= status < 300:
        return Answer(status, body)
    if 300 <= status < 400:
        return Answer(status, body, f"answered {status}; redirects are not followed: give the final address")
    return Answer(status, body, f"answered {status}", gone=status == 410)
