"""The connection to Stripe: its key, its wire, the pace of its calls, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.payments.errors import Answered, Declined, Missing, PaymentError, TryAgain
from billing.payments.rate import Pace, endpoint
from billing.payments.tax import NO_TAX, Tax
from metering.period import SECOND_US

# One attempt of a call may take this long; the SDK repeats it with the same key.
TIMEOUT_SECONDS = 20
NETWORK_RETRIES = 2

stripe.enable_telemetry = False


class LiveKeyRefused(ValueError):  # noqa: N818 - reads as what happened
    """A live key without BILLING_STRIPE_LIVE=yes."""


class _PacedWire(stripe.HTTPClient):
    """Every attempt of a call, the SDK's own included, waits its turn; a refusal is told to the others."""

    name = "paced"

    def __init__(self, wire: stripe.HTTPClient, pace: Pace) -> None:
        super().__init__()
        self._wire = wire
        self._pace = pace

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        self._pace.before(endpoint(method, urlsplit(url).path))
        body, status, answered = self._wire.request(method, url, headers, post_data)
        # An object that is locked at Stripe is no matter of rate.
        if status == 429 and b'"lock_timeout"' not in _bytes(body):
            seconds = answered.get("Retry-After", "")
            self._pace.refused(int(seconds) * SECOND_US if seconds.isdecimal() else 0)
        return body, status, answered

    def _sleep_time_seconds(self, num_retries: int) -> float:
        return self._wire._sleep_time_seconds(num_retries)


def _bytes(body: str | bytes) -> bytes:
    """What the SDK's wires give: `requests` gives bytes, whatever the annotation of the base class says."""
    return body.encode() if isinstance(body, str) else body


class Connection:
    """Stripe, or a stand-in at `api_base`. `wire` carries one request and its answer, by
    default over HTTP; the SDK repeats a call at most `retries` times; `pace` makes each attempt wait its turn
    below Stripe's limits; `tax` is what invoices are made with. Raises LiveKeyRefused."""

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str | None = None,
        live: bool = False,
        wire: stripe.HTTPClient | None = None,
        retries: int = NETWORK_RETRIES,
        pace: Pace | None = None,
        tax: Tax = NO_TAX,
    ) -> None:
        self.tax = tax
        if api_key.startswith(("sk_live_", "rk_live_")) and not live:
            raise LiveKeyRefused(
                "BILLING_STRIPE_API_KEY is a live key, which charges real money; "
                "set BILLING_STRIPE_LIVE=yes to allow it, or use a test key"
            )
        bases: Any = {}
        if api_base is not None:
            base = api_base.rstrip("/")
            bases = {"api": base, "connect": base, "files": base, "meter_events": base}
        wire = wire or stripe.RequestsClient(timeout=TIMEOUT_SECONDS)
        self._client = stripe.StripeClient(
            api_key,
            base_addresses=bases,
            max_network_retries=retries,
            http_client=wire if pace is None else _PacedWire(wire, pace),
        )


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the SDK as ours: which may pass by themselves, and which need a person."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise TryAgain(_sentence(error)) from error
    except stripe.AuthenticationError as error:
        raise TryAgain(
            f"Stripe refuses the API key; check BILLING_STRIPE_API_KEY ({_sentence(error)})"
        ) from error
    except stripe.IdempotencyError as error:
        raise Answered(f"Stripe saw this request before with other values ({_sentence(error)})") from error
    except stripe.StripeError as error:
        raise _by_status(error) from error


def _by_status(error: stripe.StripeError) -> PaymentError:
    """Only what Stripe refuses needs a person; an answer that makes no sense may make sense next time."""
    status = error.http_status or 0
    if status == 404:
        return Missing(_sentence(error))
    if 400 <= status < 500 and status not in (409, 429):
        return Declined(_sentence(error), code=error.code)
    return Answered(_sentence(error)) if status >= 500 else TryAgain(_sentence(error))


def _sentence(error: stripe.StripeError) -> str:
    return " ".join(str(error.user_message or error).split())
