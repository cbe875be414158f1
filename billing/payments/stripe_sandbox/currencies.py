"""The currencies the sandbox knows, each with Stripe's minimum charge in its minor unit.

An invoice due less than that is not charged: it is paid at once with nothing, and the amount moves to the
customer's balance (docs.stripe.com/currencies, "minimum and maximum charge amounts").
"""

from __future__ import annotations

from types import MappingProxyType

CURRENCIES = MappingProxyType(
    {
        "aed": 200,
        "aud": 50,
        "bgn": 100,
        "brl": 50,
        "cad": 50,
        "chf": 50,
        "czk": 1500,
        "dkk": 250,
        "eur": 50,
        "gbp": 30,
        "hkd": 400,
        "huf": 17500,
        "inr": 50,
        "jpy": 50,
        "kwd": 150,
        "mxn": 1000,
        "myr": 200,
        "nok": 300,
        "nzd": 50,
        "pln": 200,
        "ron": 200,
        "sek": 300,
        "sgd": 50,
        "thb": 1000,
        "usd": 50,
    }
)

# Stripe's amounts have at most eight digits.
LARGEST_AMOUNT = 99_999_999
