"""What can go wrong in an operation. Every message is one sentence that says what to do.

    BillingError
    ├── NotFound       there is no such thing, or this key may not see it   (HTTP 404)
    ├── Refused        the state of things does not allow it                (HTTP 409)
    └── Invalid        a value is not usable; `field` names it              (HTTP 422)

MoveDiffers is no operation's: what was copied to another database is not what was there.

Prices have their own tree, `billing.pricing.errors`; payments theirs, `billing.payments.errors`. Only the
doors know of HTTP status and exit codes.
"""

from __future__ import annotations


class BillingError(Exception):
    """The root: catch this at a door and show its sentence."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(BillingError):  # noqa: N818 - reads as what happened
    pass


class Refused(BillingError):  # noqa: N818
    pass


class Invalid(BillingError):  # noqa: N818
    pass


def sentence(error: Exception) -> str:
    """What an error says, as a page writes it: with a capital and a full stop."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


class MoveDiffers(Exception):  # noqa: N818
    pass
