"""Idempotency keys, as Stripe keeps them: the first answer to a key is the answer, for 24 hours.

A key is kept once its request began to run, whether it succeeded, was refused or failed with a 500. A request
whose parameters could not be read, or that was turned away before it ran, leaves the key free.
"""

from __future__ import annotations

from dataclasses import dataclass

from billing.payments.stripe_sandbox.errors import ApiError
from billing.payments.stripe_sandbox.wire import Answer

LIFETIME_S = 24 * 3600
MAX_LENGTH = 255


@dataclass(slots=True)
class _Held:
    fingerprint: str
    since: int
    answer: Answer | None = None


class IdempotencyKeys:
    """What was answered to which key. `fingerprint` stands for the method, the path and the parameters."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def begin(self, key: str, fingerprint: str, now: int) -> Answer | None:
        """The stored answer to replay; None takes the key for a request that runs now."""
        self._forget_before(now - LIFETIME_S)
        if len(key) > MAX_LENGTH:
            raise ApiError(
                400, f"Idempotency keys can have up to {MAX_LENGTH} characters.", type="idempotency_error"
            )
        held = self._held.get(key)
        if held is None:
            self._held[key] = _Held(fingerprint, now)
            return None
        if held.fingerprint != fingerprint:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        if held.answer is None:
            raise in_use(key)
        return held.answer

    def finish(self, key: str, answer: Answer) -> None:
        """Keep the answer of the request that took the key, unless the key expired meanwhile."""
        held = self._held.get(key)
        if held is not None:
            held.answer = answer

    def abandon(self, key: str) -> None:
        """Free the key: its request never ran."""
        self._held.pop(key, None)

    def _forget_before(self, instant: int) -> None:
        # In order of their creation: the oldest are first.
        expired = []
        for key, held in self._held.items():
            if held.since > instant:
                break
            expired.append(key)
        for key in expired:
            del self._held[key]


def in_use(key: str) -> ApiError:
    """409: a request with this key is still running."""
    return ApiError(
        409,
        f"There is currently another in-progress request using this Idempotency Key ({key}). Please wait "
        "for it to finish before retrying.",
        type="idempotency_error",
        code="idempotency_key_in_use",
        headers={"Stripe-Should-Retry": "true"},
    )
