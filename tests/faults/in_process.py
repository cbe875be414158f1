"""The real SDK and the sandbox without a socket between them: time-outs take no time, and what happens on the
line is the same each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.payments.stripe_gateway import TIMEOUT_SECONDS
from billing.payments.stripe_sandbox import Answer, Request, StripeSandbox
from billing.payments.stripe_sandbox.sandbox import Ticket

# A request that is answered takes this long, on the wire's own clock.
REQUEST_SECONDS = 1


class Wire(stripe.HTTPClient):
    """What the SDK sends arrives at the sandbox. A slow request is given up after the gateway's time-out and
    runs all the same, once its time has come: after some requests that came later, or at `settle`."""

    name = "in_process"

    def __init__(self, sandbox: StripeSandbox) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._now = 0.0
        self._late: list[tuple[float, Ticket]] = []

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        **_: Any,
    ) -> tuple[str, int, Mapping[str, str]]:
        self._pass(REQUEST_SECONDS)
        at = urlsplit(url)
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        body = (post_data or "").encode()
        ticket = self._sandbox.receive(Request(method.upper(), at.path, at.query, body, lower))
        if ticket.wait_s > TIMEOUT_SECONDS:
            self._late.append((self._now + ticket.wait_s, ticket))
            self._pass(TIMEOUT_SECONDS)
            raise _lost("timed out")
        answer = self._sandbox.complete(ticket)
        if answer.delivery == "hang" and answer.delay_s > TIMEOUT_SECONDS:
            self._pass(TIMEOUT_SECONDS)
        if answer.delivery != "send":
            raise _lost("the connection was closed")
        return answer.body.decode(), answer.status, _headers(answer)

    def close(self) -> None:
        pass

    def settle(self) -> None:
        """Time passes: whatever is still on its way at Stripe comes to its end."""
        self._pass(float("inf"))

    def _pass(self, seconds: float) -> None:
        self._now += seconds
        due = [ticket for at, ticket in self._late if at <= self._now]
        self._late = [each for each in self._late if each[0] > self._now]
        if not self._late and seconds == float("inf"):
            self._now = 0.0
        for ticket in due:
            self._sandbox.complete(ticket)

    def _sleep_time_seconds(self, num_retries: int) -> float:
        """The SDK waits before it repeats a call; on this wire no time need pass."""
        return 0.0


def _headers(answer: Answer) -> dict[str, str]:
    # As from `requests`, whose headers the SDK asks for in any case of letters.
    return {name.lower(): value for name, value in answer.headers.items()} | dict(answer.headers)


def _lost(why: str) -> stripe.APIConnectionError:
    error = stripe.APIConnectionError(why)
    error.should_retry = True
    return error
