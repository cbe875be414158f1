"""What a webhook announces, once its signature is checked."""

from __future__ import annotations

import json
import re

import stripe

from billing.payments.errors import BadSignature
from billing.payments.stripe_objects import WebhookEvent

# Webhooks signed longer ago than this, or further ahead, are refused.
WEBHOOK_TOLERANCE_SECONDS = 300

# The time that a signature covers: the first one named, as the SDK reads it.
_SIGNED_AT = re.compile(r"(?:^|,)t=([0-9]{1,12})(?:,|$)")


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
