"""What a webhook announces, once its signature is checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import stripe

from billing.payments.errors import Forged, Stale, Unreadable
from billing.payments.stripe_objects import WebhookEvent

# Webhooks signed longer ago than this, or further ahead, are refused.
WEBHOOK_TOLERANCE_SECONDS = 300

# The time that a signature covers. The SDK reads one by rules of its own: only what cannot be read in two
# ways is a time.
_TIME = re.compile(r"t=([0-9]{1,12})", re.ASCII).fullmatch


def read_webhook(payload: bytes, signature: str | None, secrets: Sequence[str], now: int) -> WebhookEvent:
    """What a webhook announces, its signature over the raw body checked with each of our secrets (two while
    one takes the place of the other). `now` in unix seconds. Raises Forged for one that Stripe did not sign,
    Stale for one not signed within the tolerance around now, Unreadable for one that holds no event."""
    signed_at = _signed_at(signature or "")
    if signed_at is None or not any(_is_signed(payload, signature or "", secret) for secret in secrets):
        raise Forged(
            "the webhook is not signed by Stripe with our secret; check BILLING_STRIPE_WEBHOOK_SECRET"
        )
    off = now - signed_at
    if abs(off) > WEBHOOK_TOLERANCE_SECONDS:
        when = "ago" if off > 0 else "in the future"
        raise Stale(
            f"the webhook was signed {abs(off)} seconds {when}, more than {WEBHOOK_TOLERANCE_SECONDS}; "
            "check this machine's clock"
        )
    try:
        return event_of(json.loads(payload))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unreadable("the webhook does not hold an event of Stripe") from None


def event_of(event: Mapping[str, Any]) -> WebhookEvent:
    """An event, in the shape of Stripe's JSON. Raises ValueError, KeyError, TypeError for anything else."""
    changed = event["data"]["object"]
    if not isinstance(changed, Mapping):
        raise TypeError
    # An invoice that is not made yet has no id.
    names = event["id"], event["type"], changed.get("id", "upcoming"), changed["object"]
    if not all(isinstance(name, str) and name.isascii() and name.isprintable() for name in names):
        raise ValueError
    id_, type_, object_id, object_type = names
    links = _link(changed, "invoice"), _link(changed, "payment_intent")
    return WebhookEvent(id_, type_, object_id, object_type, *links)


def _signed_at(signature: str) -> int | None:
    """Unix seconds; None where not exactly one part of the signature is a time."""
    times = [part for part in signature.split(",") if part.partition("=")[0].strip() == "t"]
    found = _TIME(times[0]) if len(times) == 1 else None
    return None if found is None else int(found[1])


def _is_signed(payload: bytes, signature: str, secret: str) -> bool:
    if not signature.isascii():
        return False
    try:
        return bool(stripe.WebhookSignature.verify_header(payload.decode("utf-8"), signature, secret))
    except (stripe.SignatureVerificationError, ValueError):
        return False


def _link(changed: Mapping[str, Any], name: str) -> str | None:
    value = changed.get(name)
    value = value.get("id") if isinstance(value, Mapping) else value
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else None
