"""Faults as data: which call of which route goes wrong, and how.

    finalize = "/v1/invoices/{invoice}/finalize"
    FaultSchedule([Fault("POST", finalize, nth=1, kind=FaultKind.APPLIED_THEN_CLOSES)])

A schedule is deterministic: it counts the calls of each fault's route and nothing else, so a seed that made
one makes it again. To add a kind: name it here, say in which group it is, and if it shows a new answer,
add that to `answer_instead` (nothing applied) or `distorted` (applied, and badly told).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from billing.payments.stripe_sandbox.errors import ApiError
from billing.payments.stripe_sandbox.idempotency import in_use
from billing.payments.stripe_sandbox.wire import Answer


class FaultKind(enum.StrEnum):
    CLOSED_BEFORE_APPLYING = "closed_before_applying"
    """The connection closes, and nothing happened."""
    APPLIED_THEN_CLOSES = "applied_then_closes"
    """It happened, and the answer is lost."""
    APPLIED_THEN_HANGS = "applied_then_hangs"
    """It happened, and no answer comes for `seconds`; then the connection closes."""
    ERROR_500 = "error_500"
    """Nothing happened; the 500 is kept for the idempotency key and replayed."""
    ERROR_500_NO_RETRY = "error_500_no_retry"
    """The same, with `Stripe-Should-Retry: false`."""
    APPLIED_THEN_500 = "applied_then_500"
    """It happened, and the answer, kept for the key, is a 500 all the same."""
    RATE_LIMITED_429 = "rate_limited_429"
    LOCK_TIMEOUT_429 = "lock_timeout_429"
    CONFLICT_409 = "conflict_409"
    """Nothing happened, and the key stays free."""
    GARBLED_200 = "garbled_200"
    """It happened, and the body is cut off in the middle."""
    WRONG_TOTAL = "wrong_total"
    """The invoice in the answer shows totals that are one minor unit too high."""
    SLOW = "slow"
    """The request runs after `seconds`; its key is in use meanwhile."""


TURNED_AWAY = frozenset(
    {
        FaultKind.CLOSED_BEFORE_APPLYING,
        FaultKind.RATE_LIMITED_429,
        FaultKind.LOCK_TIMEOUT_429,
        FaultKind.CONFLICT_409,
    }
)
"""Before anything ran, and before the key was looked at."""
FAILED_INSIDE = frozenset({FaultKind.ERROR_500, FaultKind.ERROR_500_NO_RETRY})
"""The request took its key and failed without effect: the error is the key's answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The `nth` call (from 1) that matches goes wrong. `route`: a route's template or a pattern of paths."""

    method: str
    route: str
    nth: int
    kind: FaultKind
    seconds: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fault:
        """From `{"method", "route", "nth", "kind", "seconds"?}`; raises ValueError that names the mistake."""
        unknown = data.keys() - {"method", "route", "nth", "kind", "seconds"}
        if unknown:
            raise ValueError(f"unknown fields of a fault: {', '.join(sorted(unknown))}")
        try:
            kind = FaultKind(data["kind"])
            nth, seconds = int(data.get("nth", 1)), float(data.get("seconds", 0))
            return cls(str(data.get("method", "*")).upper(), str(data["route"]), nth, kind, seconds)
        except KeyError as error:
            raise ValueError(f"a fault needs the field {error}") from None

    def matches(self, method: str, template: str, path: str) -> bool:
        if not fnmatchcase(method, self.method):
            return False
        return self.route == template or fnmatchcase(path, self.route)


class FaultSchedule:
    """Faults and how often each one's route was called. `pending` are those that have not happened yet."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = tuple(faults)
        self._calls = [0] * len(self.faults)

    def next_call(self, method: str, template: str, path: str) -> Fault | None:
        """Count the call; the fault that happens to it, the first listed if there are several."""
        found = None
        for index, fault in enumerate(self.faults):
            if fault.matches(method, template, path):
                self._calls[index] += 1
                if self._calls[index] == fault.nth and found is None:
                    found = fault
        return found

    @property
    def pending(self) -> tuple[Fault, ...]:
        return tuple(
            fault for fault, calls in zip(self.faults, self._calls, strict=True) if calls < fault.nth
        )


def answer_instead(kind: FaultKind, key: str | None) -> ApiError:
    """The error that a request meets instead of running."""
    match kind:
        case FaultKind.RATE_LIMITED_429:
            return ApiError(
                429,
                "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits.",
                code="rate_limit",
                headers={"Stripe-Rate-Limited-Reason": "endpoint-rate"},
            )
        case FaultKind.LOCK_TIMEOUT_429:
            return ApiError(
                429,
                "This object cannot be accessed right now because another API request or Stripe process is "
                "currently accessing it. If you see this error intermittently, retry the request.",
                code="lock_timeout",
                headers={"Stripe-Should-Retry": "true"},
            )
        case FaultKind.CONFLICT_409:
            return in_use(key or "")
    headers = {"Stripe-Should-Retry": "false"} if kind is FaultKind.ERROR_500_NO_RETRY else {}
    return ApiError(500, "An unknown error occurred.", type="api_error", headers=headers)


def distorted(fault: Fault, answer: Answer) -> Answer:
    """How the answer of a request that ran reaches the client, or fails to."""
    match fault.kind:
        case FaultKind.APPLIED_THEN_CLOSES:
            return replace(answer, delivery="close")
        case FaultKind.APPLIED_THEN_HANGS:
            return replace(answer, delivery="hang", delay_s=fault.seconds)
        case FaultKind.GARBLED_200:
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case FaultKind.WRONG_TOTAL:
            return replace(answer, body=_one_too_many(answer.body))
    return answer


def _one_too_many(body: bytes) -> bytes:
    data = json.loads(body)
    if data.get("object") == "invoice":
        for field in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax", "amount_due"):
            data[field] += 1
    return json.dumps(data).encode()
