"""Whether two addresses at Stripe, of an invoice's page or its PDF, lead to the same invoice. Pure."""

from __future__ import annotations

import base64
import binascii

_BEFORE_CHECKSUM = "0200"


def same_place(mine: str | None, theirs: str | None) -> bool:
    """What was erased here, or never told, leads nowhere, and is no difference."""
    return mine is None or mine == theirs or (theirs is not None and _place(mine) == _place(theirs))


def _place(url: str) -> list[str]:
    return [_lasting(part) for part in url.split("/")]


def _lasting(part: str) -> str:
    """Stripe writes into an address account, invoice and a time, in base64, and may write another time into
    the next one that it makes; the rest lasts."""
    mode, found, token = part.partition("_")
    encoded, section, _ = token.rpartition(_BEFORE_CHECKSUM)
    if not found or not section:
        return part
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return part
    account_and_invoice, comma, time = text.rpartition(",")
    return f"{mode}_{account_and_invoice}" if comma and time.isdigit() else part
