"""Signatures by the Standard Webhooks convention: pure.

    webhook-id          of the event; the same each time it is sent
    webhook-timestamp   seconds since 1970, of this attempt
    webhook-signature   v1,<base64 of HMAC-SHA-256 over `id.timestamp.body`>, one for each secret, with spaces

A secret is `whsec_` and base64 of the key's bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
KEY_BYTES = 32


def new_secret(random: bytes) -> str:
    """The secret that stands for some random bytes."""
    assert len(random) == KEY_BYTES, "the convention asks for 24 to 64 bytes"
    return PREFIX + base64.b64encode(random).decode()


def signed_headers(event_id: str, second: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of a request, signed with each secret."""
    assert secrets, "nothing is sent unsigned"
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(second),
        "webhook-signature": " ".join(_signature(event_id, second, body, each) for each in secrets),
    }


def _signature(event_id: str, second: int, body: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    said = f"{event_id}.{second}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()
