"""Signed webhooks: which event is due at which endpoint, and the ways in which delivery can go wrong.

A queue without a network: the caller asks what is due, sends it, and reports the status. Tests hold
deliveries back, drop, duplicate and reorder them; a delivery not answered by 2xx is due again
later and later.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from billing.payments.stripe_sandbox.state import Object, shown_event

RETRY_DELAYS_S = (1, 5, 30, 300, 3600, 6 * 3600, 24 * 3600)

Send = Callable[[str, bytes, dict[str, str]], int]
"""POST a body with headers to an address; answers the HTTP status, 0 where there was none."""


def new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(24)}"


def signature(body: bytes, timestamp: int, signing_secrets: Iterable[str]) -> str:
    """The `Stripe-Signature` header: one `v1` for each secret, as while a secret is being rolled."""
    signed = f"{timestamp}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in signing_secrets]
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


@dataclass(slots=True)
class Endpoint:
    """Where events go. Several secrets: the old one stays valid while a new one is rolled out."""

    id: str
    url: str
    secrets: tuple[str, ...]
    enabled_events: tuple[str, ...] = ("*",)


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint; `statuses` are the answers so far."""

    id: int
    event: Object
    endpoint: Endpoint
    due_at: int
    statuses: list[int] = field(default_factory=list)

    def as_json(self) -> Object:
        return {
            "id": self.id,
            "event": self.event["id"],
            "type": self.event["type"],
            "url": self.endpoint.url,
            "due_at": self.due_at,
            "statuses": self.statuses,
        }


class Webhooks:
    """The endpoints and the queue. `waiting` is in the order of sending; `done` keeps the last thousand."""

    def __init__(self, default_secret: str) -> None:
        self.default_secret = default_secret
        self.endpoints: dict[str, Endpoint] = {}
        self.waiting: list[Delivery] = []
        self.done: deque[Delivery] = deque(maxlen=1000)
        self.held = False
        self._count = 0

    def add_endpoint(
        self, url: str, *, secrets: Iterable[str] = (), enabled_events: Iterable[str] = ("*",)
    ) -> Endpoint:
        """Register an address (http or https); without a secret it shares the sandbox's own."""
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"a webhook endpoint needs an http:// or https:// address, not {url!r}")
        id = f"we_{len(self.endpoints) + 1}_{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        kept = tuple(secrets) or (self.default_secret,)
        self.endpoints[id] = Endpoint(id, url, kept, tuple(enabled_events))
        return self.endpoints[id]

    def remove_endpoint(self, id: str) -> None:
        self.endpoints.pop(id, None)
        self.waiting = [delivery for delivery in self.waiting if delivery.endpoint.id != id]

    def enqueue(self, event: Object, now: int) -> None:
        for endpoint in self.endpoints.values():
            if any(fnmatchcase(event["type"], pattern) for pattern in endpoint.enabled_events):
                event["pending_webhooks"] += 1
                self.waiting.append(Delivery(self._next(), event, endpoint, now))

    def due(self, now: int) -> list[Delivery]:
        """What should be sent now, in order; nothing while deliveries are held back."""
        return [] if self.held else [delivery for delivery in self.waiting if delivery.due_at <= now]

    def message(self, delivery: Delivery, timestamp: int) -> tuple[str, bytes, dict[str, str]]:
        """Address, body and headers of a delivery, signed for this instant (unix seconds)."""
        body = json.dumps(shown_event(delivery.event), indent=2).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, timestamp, delivery.endpoint.secrets),
            "User-Agent": "Stripe/1.0 (sandbox)",
        }
        return delivery.endpoint.url, body, headers

    def record(self, delivery: Delivery, status: int, now: int) -> None:
        """What the endpoint answered. A 2xx ends the delivery; else it is due again, or given up at last."""
        delivery.statuses.append(status)
        tried = len(delivery.statuses)
        if 200 <= status < 300:
            delivery.event["pending_webhooks"] = max(0, delivery.event["pending_webhooks"] - 1)
        elif tried <= len(RETRY_DELAYS_S):
            delivery.due_at = now + RETRY_DELAYS_S[tried - 1]
            return
        self.drop(delivery.id)
        self.done.append(delivery)

    def drop(self, id: int) -> None:
        """Lose a delivery: it is never sent, nor tried again."""
        self.waiting = [delivery for delivery in self.waiting if delivery.id != id]

    def duplicate(self, id: int) -> Delivery:
        """Queue the same event for the same endpoint once more, at the end."""
        known = {delivery.id: delivery for delivery in (*self.done, *self.waiting)}
        twin = Delivery(self._next(), known[id].event, known[id].endpoint, known[id].due_at)
        self.waiting.append(twin)
        return twin

    def reorder(self, ids: Iterable[int]) -> None:
        """Send the waiting deliveries in this order; those not named keep theirs, after the named ones."""
        place = {id: index for index, id in enumerate(ids)}
        self.waiting.sort(key=lambda delivery: place.get(delivery.id, len(place)))

    def _next(self) -> int:
        self._count += 1
        return self._count
