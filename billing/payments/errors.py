"""What can go wrong between us and Stripe.

PaymentError
├── TryAgain          the network, a limit, a fault at Stripe: the same call may succeed later
│   └── Answered      Stripe answered, and keeps that answer for the request's idempotency key: look for
│                     what exists, then ask with a new key
├── NeedsOperator     Stripe holds something that is not what we sent; `str()` says what to do
│   └── Declined      Stripe refuses; `str()` is what it says, and how to go on is the outbox's to say
│       └── Missing   Stripe does not have the object: it was deleted there
└── BadWebhook        a webhook that is refused
    ├── Forged        Stripe did not sign it with a secret of ours
    ├── Stale         it was signed too long ago, or in the future
    └── Unreadable    it holds no event
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


class BadWebhook(PaymentError):  # noqa: N818
    pass


class Forged(BadWebhook):
    pass


class Stale(BadWebhook):
    pass


class Unreadable(BadWebhook):
    pass
