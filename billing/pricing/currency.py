"""Currencies: how many places they have, how Stripe counts them, and the least it charges.

The data is Stripe's, from https://docs.stripe.com/currencies (sections "Supported presentment currencies",
"Zero-decimal", "Three-decimal", "Special cases" and "Minimum charge amounts"), in a copy of 10 July 2026.
Stripe's table is used and not plain ISO 4217, because the two differ where it hurts by a factor of 100:
ISK and UGX have no decimals, yet Stripe counts them in hundredths (5 ISK is `500`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from billing.pricing.errors import CurrencyError


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WHOLE = _codes("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF")
_WHOLE_COUNTED_IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
_THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_HUNDREDTHS = _codes(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY
    COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD
    KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
    NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP
    TRY TTD TWD TZS UAH USD UYU UZS WST XCD YER ZAR ZMW
    """
)

# In minor units. The bound is exact where the account at Stripe settles in the same currency; otherwise
# Stripe applies the minimum of the settlement currency after conversion.
_MINIMUM_CHARGE = {
    "AED": 200, "ARS": 50, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "COP": 50, "CZK": 1500,
    "DKK": 250, "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 17500, "IDR": 50, "ILS": 50, "INR": 50, "JPY": 50,
    "KRW": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50, "PHP": 50, "PLN": 200, "RON": 200, "RUB": 50,
    "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50, "ZAR": 50,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Currency:
    """`code` is ISO 4217. An amount is an integer in 10^-`exponent` of the major unit, as Stripe counts it;
    people write, and we round to, `places` decimals. The two differ for ISK and UGX alone (2 and 0)."""

    code: str
    exponent: int
    places: int

    @property
    def step(self) -> int:
        """Amounts are multiples of this many minor units: 100 for ISK and UGX, 1 for all others."""
        return 100 if self.places < self.exponent else 1

    @property
    def minimum_charge(self) -> int | None:
        """The least that Stripe charges, in minor units; None where it publishes none."""
        return _MINIMUM_CHARGE.get(self.code)


@functools.cache
def currency(code: str) -> Currency:
    """The currency of an upper-case ISO 4217 code. Raises CurrencyError for any other text.

    >>> currency("USD").exponent, currency("JPY").exponent, currency("KWD").exponent
    (2, 0, 3)
    >>> currency("GBP").minimum_charge
    30
    """
    if code in _HUNDREDTHS:
        return Currency(code, exponent=2, places=2)
    if code in _WHOLE:
        return Currency(code, exponent=0, places=0)
    if code in _THOUSANDTHS:
        return Currency(code, exponent=3, places=3)
    if code in _WHOLE_COUNTED_IN_HUNDREDTHS:
        return Currency(code, exponent=2, places=0)
    if isinstance(code, str) and code != code.upper():
        raise CurrencyError(f"{code!r} is not a currency; write its code in capitals, for example USD")
    raise CurrencyError(
        f"{code!r} is not a currency that Stripe bills in; write an ISO 4217 code such as USD"
    )


def exponent(code: str) -> int:
    """How many decimal places an amount in minor units of this currency stands for: 2 for USD."""
    return currency(code).exponent


def minimum_charge(code: str) -> int | None:
    """The least that Stripe charges, in minor units (50 for USD); None where it publishes none."""
    return currency(code).minimum_charge
