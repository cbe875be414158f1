"""What can go wrong between us and Stripe.

PaymentError
├── TryAgain          the network, a limit, a fault at Stripe: the same call may succeed later
├── NeedsOperator     Stripe refuses, or holds something that is not what we sent; `str()` says what to do
└── BadSignature      a webhook that Stripe did not sign, or signed too long ago
"""

from __future__ import annotations


class PaymentError(Exception):
    """The root."""


class TryAgain(PaymentError):  # noqa: N818 - reads as what to do
    pass


class NeedsOperator(PaymentError):  # noqa: N818
    pass


class BadSignature(PaymentError):  # noqa: N818
    pass
