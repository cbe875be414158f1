"""Stripe's test cards: which can be saved, and what happens when they are charged.

As at Stripe, a card of the `chargeDeclined` family is declined already when it is attached to a customer;
`pm_card_chargeCustomerFail` is the one to attach where a later payment shall fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Decline:
    """What Stripe answers instead of a charge; `action` where the customer would have to act."""

    code: str
    message: str
    decline_code: str | None = None
    action: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    brand: str
    last4: str
    on_attach: Decline | None = None
    on_charge: Decline | None = None


_GENERIC = Decline("card_declined", "Your card was declined.", "generic_decline")
_FUNDS = Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds")
_LOST = Decline("card_declined", "Your card was declined.", "lost_card")
_STOLEN = Decline("card_declined", "Your card was declined.", "stolen_card")
_EXPIRED = Decline("expired_card", "Your card has expired.")
_CVC = Decline("incorrect_cvc", "Your card's security code is incorrect.")
_PROCESSING = Decline(
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
_ACTION = Decline(
    "invoice_payment_intent_requires_action",
    "This payment requires additional user action before it can be completed successfully. Payment can be "
    "completed using the PaymentIntent associated with the invoice.",
    "authentication_required",
    action=True,
)


def _refused(last4: str, decline: Decline) -> Card:
    return Card("visa", last4, on_attach=decline, on_charge=decline)


# By the part after `pm_card_` or `tok_`.
CARDS = MappingProxyType(
    {
        "visa": Card("visa", "4242"),
        "visa_debit": Card("visa", "5556"),
        "mastercard": Card("mastercard", "4444"),
        "mastercard_debit": Card("mastercard", "3222"),
        "amex": Card("amex", "8431"),
        "discover": Card("discover", "9424"),
        "chargeCustomerFail": Card("visa", "0341", on_charge=_GENERIC),
        "chargeDeclined": _refused("0002", _GENERIC),
        "visa_chargeDeclined": _refused("0002", _GENERIC),
        "chargeDeclinedInsufficientFunds": _refused("9995", _FUNDS),
        "visa_chargeDeclinedInsufficientFunds": _refused("9995", _FUNDS),
        "visa_chargeDeclinedLostCard": _refused("9987", _LOST),
        "visa_chargeDeclinedStolenCard": _refused("9979", _STOLEN),
        "chargeDeclinedExpiredCard": _refused("0069", _EXPIRED),
        "chargeDeclinedIncorrectCvc": _refused("0127", _CVC),
        "chargeDeclinedProcessingError": _refused("0119", _PROCESSING),
        "authenticationRequired": Card("visa", "3184", on_charge=_ACTION),
        "threeDSecure2Required": Card("visa", "3220", on_charge=_ACTION),
    }
)

NUMBERS = MappingProxyType(
    {
        "4242424242424242": "visa",
        "5555555555554444": "mastercard",
        "378282246310005": "amex",
        "4000000000000341": "chargeCustomerFail",
        "4000000000000002": "chargeDeclined",
        "4000000000009995": "chargeDeclinedInsufficientFunds",
        "4000002760003184": "authenticationRequired",
    }
)
