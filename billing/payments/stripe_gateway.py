"""Everything we say to Stripe, in our own words. The only module that imports the SDK.

Each method is one call (or one paged list) and answers plain values; each POST carries an idempotency key
that its caller derives from what the call is for. Errors of the SDK become those of `payments.errors`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import stripe

from billing.payments.errors import (
    Answered,
    BadSignature,
    Declined,
    Missing,
    PaymentError,
    TryAgain,
)
from billing.payments.rate import Pace, endpoint
from billing.payments.stripe_objects import (
    StripeCreditNote,
    StripeInvoice,
    StripeLine,
    WebhookEvent,
    credit_note_of,
    invoice_of,
    line_of,
    metadata_of,
)
from billing.pricing.line import Line
from billing.repository.credit_notes import CreditNote
from metering.period import SECOND_US

# One attempt of a call may take this long; the SDK repeats it with the same key.
TIMEOUT_SECONDS = 20
NETWORK_RETRIES = 2
# Webhooks signed longer ago than this, or further ahead, are refused.
WEBHOOK_TOLERANCE_SECONDS = 300
# Stripe takes that many lines in one call.
LINES_A_CALL = 250
ADDRESS_PARTS = ("line1", "line2", "city", "postal_code", "state", "country")

# The time that a signature covers: the first one named, as the SDK reads it.
_SIGNED_AT = re.compile(r"(?:^|,)t=([0-9]{1,12})(?:,|$)")

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
        if status == 429 and '"lock_timeout"' not in body:
            seconds = answered.get("Retry-After", "")
            self._pace.refused(int(seconds) * SECOND_US if seconds.isdecimal() else 0)
        return body, status, answered

    def _sleep_time_seconds(self, num_retries: int) -> float:
        return self._wire._sleep_time_seconds(num_retries)


class StripeGateway:
    """A connection to Stripe, or to a stand-in at `api_base`. `wire` carries one request and its answer, by
    default over HTTP; the SDK repeats a call at most `retries` times; `pace` makes each attempt wait its turn
    below Stripe's limits. Raises LiveKeyRefused."""

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str | None = None,
        live: bool = False,
        wire: stripe.HTTPClient | None = None,
        retries: int = NETWORK_RETRIES,
        pace: Pace | None = None,
    ) -> None:
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

    def create_customer(self, account: str, holds: Mapping[str, Any], key: str) -> str:
        """The id of a new customer that stands for our account. `holds`: its `name`, `email`, `address` (the
        parts that are given) and `tax_id` (`type` and `value`, or None)."""
        params: Any = {"name": holds["name"], "metadata": {"account": account}}
        params |= {field: holds[field] for field in ("email", "address") if holds[field]}
        if holds["tax_id"]:
            params["tax_id_data"] = [holds["tax_id"]]
        with _translated():
            return self._client.v1.customers.create(params, {"idempotency_key": key}).id

    def update_customer(self, customer: str, changes: Mapping[str, Any], key: str) -> None:
        """Give a customer other values of some of the fields that it was made with; empty ones unset."""
        params: Any = {field: changes[field] for field in ("name", "email") if field in changes}
        if "address" in changes:
            # All parts: those that are not given any more are unset.
            params["address"] = {part: changes["address"].get(part, "") for part in ADDRESS_PARTS}
        with _translated():
            if params:
                self._client.v1.customers.update(customer, params, {"idempotency_key": key})
            if "tax_id" in changes:
                self._set_tax_id(customer, changes["tax_id"], key)

    def _set_tax_id(self, customer: str, wanted: Mapping[str, str] | None, key: str) -> None:
        """One tax id or none: it is there before others go."""
        held = list(self._client.v1.customers.tax_ids.list(customer, {"limit": 100}).auto_paging_iter())
        same = [each for each in held if wanted == {"type": each.type, "value": each.value}]
        if wanted and not same:
            params: Any = dict(wanted)
            self._client.v1.customers.tax_ids.create(customer, params, {"idempotency_key": f"{key}:tax_id"})
        for each in held:
            if each not in same[:1]:
                self._client.v1.customers.tax_ids.delete(customer, each.id)

    def find_customer(self, account: str, since: int) -> str | None:
        """A customer made for our account at or after `since` (unix seconds), whatever we remember."""
        with _translated():
            page = self._client.v1.customers.list({"created": {"gte": since}, "limit": 100})
            for each in page.auto_paging_iter():
                if metadata_of(each).get("account") == account:
                    return each.id
        return None

    def has_payment_method(self, customer: str) -> bool:
        """Whether invoices of this customer can be charged automatically."""
        with _translated():
            found = self._client.v1.customers.retrieve(customer)
            settings = getattr(found, "invoice_settings", None)
            source = getattr(found, "default_source", None)
            return bool(getattr(settings, "default_payment_method", None) or source)

    def create_invoice(
        self,
        *,
        customer: str,
        invoice_id: str,
        number: str,
        currency: str,
        description: str,
        purchase_order: str,
        charge_automatically: bool,
        days_until_due: int,
        key: str,
    ) -> StripeInvoice:
        """An empty draft with our number, which stays a draft until we finalize it."""
        params: Any = {
            "customer": customer,
            "number": number,
            "currency": currency.lower(),
            "description": description,
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "metadata": {"invoice_id": invoice_id},
            "collection_method": "charge_automatically" if charge_automatically else "send_invoice",
        }
        if not charge_automatically:
            params["days_until_due"] = days_until_due
        if purchase_order:
            params["custom_fields"] = [{"name": "Purchase order", "value": purchase_order}]
        with _translated():
            return invoice_of(self._client.v1.invoices.create(params, {"idempotency_key": key}))

    def add_lines(self, stripe_invoice_id: str, lines: Sequence[Line], key: str) -> None:
        """Put our lines on a draft, in their order."""
        for start in range(0, len(lines), LINES_A_CALL):
            part = lines[start : start + LINES_A_CALL]
            params: Any = {
                "lines": [{"description": line.description, "amount": line.amount} for line in part]
            }
            with _translated():
                self._client.v1.invoices.add_lines(
                    stripe_invoice_id, params, {"idempotency_key": f"{key}:{start}"}
                )

    def get_invoice(self, stripe_invoice_id: str) -> StripeInvoice:
        with _translated():
            return invoice_of(self._client.v1.invoices.retrieve(stripe_invoice_id))

    def get_lines(self, stripe_invoice_id: str) -> list[StripeLine]:
        """All lines of an invoice."""
        with _translated():
            page = self._client.v1.invoices.line_items.list(stripe_invoice_id, {"limit": 100})
            return [line_of(line) for line in page.auto_paging_iter()]

    def find_invoice(self, customer: str, invoice_id: str) -> StripeInvoice | None:
        """The customer's invoice that carries our id, whatever we remember. By listing, never by search,
        which lags behind."""
        with _translated():
            page = self._client.v1.invoices.list({"customer": customer, "limit": 100})
            for each in page.auto_paging_iter():
                if metadata_of(each).get("invoice_id") == invoice_id:
                    return invoice_of(each)
        return None

    def finalize_invoice(self, stripe_invoice_id: str, key: str) -> StripeInvoice:
        """From draft to open (or paid); from here on Stripe collects."""
        with _translated():
            return invoice_of(
                self._client.v1.invoices.finalize_invoice(
                    stripe_invoice_id, {"auto_advance": True}, {"idempotency_key": key}
                )
            )

    def delete_draft(self, stripe_invoice_id: str) -> None:
        """Only a draft can be deleted. Raises Missing if it is not there any more."""
        with _translated():
            self._client.v1.invoices.delete(stripe_invoice_id)

    def void_invoice(self, stripe_invoice_id: str, key: str) -> StripeInvoice:
        """From open or uncollectible to void: nothing is due any more."""
        with _translated():
            return invoice_of(
                self._client.v1.invoices.void_invoice(stripe_invoice_id, {}, {"idempotency_key": key})
            )

    def create_credit_note(
        self, stripe_invoice_id: str, note: CreditNote, *, given_back: int, key: str
    ) -> StripeCreditNote:
        """A credit note that takes what is due down by its amount less `given_back`, the part that was paid
        already: that is credited outside of Stripe, in our ledger."""
        params: Any = {
            "invoice": stripe_invoice_id,
            "amount": note.amount,
            "memo": f"{note.number}: {note.reason}",
            "metadata": {"credit_note_id": note.id, "number": note.number},
        }
        if given_back:
            params["out_of_band_amount"] = given_back
        with _translated():
            return credit_note_of(self._client.v1.credit_notes.create(params, {"idempotency_key": key}))

    def find_credit_note(self, stripe_invoice_id: str, note_id: str) -> StripeCreditNote | None:
        """The invoice's credit note that carries our id, whatever we remember."""
        with _translated():
            page = self._client.v1.credit_notes.list({"invoice": stripe_invoice_id, "limit": 100})
            for each in page.auto_paging_iter():
                if metadata_of(each).get("credit_note_id") == note_id:
                    return credit_note_of(each)
        return None


def read_webhook(payload: bytes, signature: str | None, secret: str, now: int) -> WebhookEvent:
    """What a webhook announces, its signature over the raw body checked. `now` in unix seconds. Raises
    BadSignature for one that Stripe did not sign, or not within the tolerance around now."""
    signed_at = _SIGNED_AT.search(signature or "")
    try:
        if signed_at is None or not (signature or "").isascii():
            raise ValueError
        text = payload.decode("utf-8")
        stripe.WebhookSignature.verify_header(text, signature, secret)
    except (stripe.SignatureVerificationError, ValueError):
        raise BadSignature("the webhook is not signed by Stripe with our secret") from None
    if abs(now - int(signed_at[1])) > WEBHOOK_TOLERANCE_SECONDS:
        raise BadSignature("the webhook was signed too long ago, or in the future")
    try:
        event = json.loads(text)
        changed = event["data"]["object"]
        names = [event["id"], event["type"], changed["id"], changed["object"]]
        if not all(isinstance(name, str) and name.isascii() and name.isprintable() for name in names):
            raise ValueError
        return WebhookEvent(*names)
    except (ValueError, KeyError, TypeError):
        raise BadSignature("the webhook does not hold an event of Stripe") from None


@contextmanager
def _translated() -> Iterator[None]:
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
        return Declined(_sentence(error))
    return Answered(_sentence(error)) if status >= 500 else TryAgain(_sentence(error))


def _sentence(error: stripe.StripeError) -> str:
    return " ".join(str(error.user_message or error).split())
