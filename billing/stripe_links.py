"""Whether an address is one of Stripe's, of an invoice's page or its PDF. Pure.

Whoever writes to the database could send customers elsewhere to pay; what leads anywhere else is shown to
nobody (docs/security.md).
"""

from __future__ import annotations

import re

# Read by one rule, and not taken apart as browsers do it: no name before the host, no port, no backslash.
_PLACE = r"/[!#-\[\]-~]*"
_AT_STRIPE = re.compile(rf"https://(?:[a-z0-9-]+\.)*stripe\.com{_PLACE}")
_BASE = re.compile(r"(https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]))(?::[0-9]+)?(?:/.*)?")


def at_stripe(url: object, base: str | None = None) -> bool:
    """Whether it is `https` and of stripe.com or below; or, where a stand-in for Stripe is configured at
    `base`, of its host.

    >>> at_stripe("https://invoice.stripe.com/i/acct_1/test_2?s=ap")
    True
    >>> at_stripe("https://stripe.com.example/i"), at_stripe("https://stripe.com@example.com/i")
    (False, False)
    """
    if not isinstance(url, str):
        return False
    if _AT_STRIPE.fullmatch(url):
        return True
    stand_in = None if base is None else _BASE.fullmatch(base)
    if stand_in is None:
        return False
    return re.fullmatch(rf"{re.escape(stand_in[1])}(?::[0-9]+)?{_PLACE}", url) is not None
