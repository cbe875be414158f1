"""What can go wrong between us and Stripe.

PaymentError
├── TryAgain          the network, a limit, a fault at Stripe: the same call may succeed later
│   └── Answered      Stripe answered, and keeps that answer for the request's idempotency key: look for
│                     what exists, then ask with a new key
├── NeedsOperator     Stripe holds something that is not what we sent; `str()` says what to do
│   └── Declined      Stripe refuses; `str()` is what it says, and how to go on is the outbox's to say
│       └── Missing   Stripe does not have the object: it was deleted there
└── BadSignature      a webhook that Stripe did not sign, or signed too long ago
"""

from __future__ import annotations


class PaymentError(Exception):
    """The root."""


class TryAgain(PaymentError):  # noqa: N818 - reads as what to do
    pass


class Answered(TryAgain):
    pass


class NeedsOperator(PaymentError):  # noqa: N818
    pass


class Declined(NeedsOperator):
    """`code` is Stripe's, where it gives one."""

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Missing(Declined):
    pass


class BadSignature(PaymentError):  # noqa: N818
    pass
