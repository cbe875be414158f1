"""Signed links to the pages of a customer: whoever has one sees that account, and no other, until it ends.

A link is not kept: it says whose it is and to when, and carries a digest of both (HMAC-SHA-256) that only
this installation can make, with a secret from its database. It works as long as it is whole, its time is not
over, and the secret is the same (docs/decisions/0018).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.trail import changing, note
from billing.errors import BillingError, Invalid
from billing.repository import links
from billing.terms import get_account
from metering.database import reading, writing
from metering.period import HOUR_US, SECOND_US, format_instant

DEFAULT_HOURS = 24
# A month, so that a link may go out with an invoice.
MOST_HOURS = 31 * 24
# Where the pages are, below the address of the service.
PLACE = "/c/"

_PURPOSE = "customer"
# Half of the digest, the least that RFC 2104 allows: nobody finds 128 bits by trying, and links stay short.
_DIGEST_BYTES = 16


class BadLink(BillingError):  # noqa: N818 - reads as what happened
    """A link that opens nothing: `expired`, or else never made here or not whole."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("this link has expired" if expired else "this link is not valid")
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Link:
    account: str
    token: str
    expires_at: int

    def url(self, base: str) -> str:
        """The address of the customer's first page, below that of the service."""
        return f"{base.rstrip('/')}{PLACE}{self.token}/"

    def to_data(self, base: str) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "account": self.account,
            "url": self.url(base),
            "expires_at": format_instant(self.expires_at),
        }


def create_link(engine: sa.Engine, account_id: str, *, now: int, hours: int = DEFAULT_HOURS) -> Link:
    """A link to the pages of an account, for so many hours. Raises NotFound, Invalid."""
    if not 1 <= hours <= MOST_HOURS:
        raise Invalid(
            f"hours must be 1 to {MOST_HOURS}; a link that is needed longer is made anew", field="hours"
        )
    with reading(engine) as connection:
        get_account(connection, account_id)
    # Whole seconds keep it short.
    expires = (now + hours * HOUR_US) // SECOND_US
    token = sign(_secret(engine, now), account_id, expires)
    with writing(engine) as connection:
        detail = {"expires": expires * SECOND_US}
        note(connection, "link.made", "link", account_id, now=now, account=account_id, detail=detail)
    return Link(account_id, token, expires * SECOND_US)


def open_link(engine: sa.Engine, token: str, now: int) -> Link:
    """The link of a token, which was made here and has not ended. Raises BadLink."""
    with reading(engine) as connection:
        secret = links.secret(connection, _PURPOSE)
    read = None if secret is None else check(secret, token)
    if read is None:
        raise BadLink(expired=False)
    account_id, expires = read
    if now >= expires * SECOND_US:
        raise BadLink(expired=True)
    return Link(account_id, token, expires * SECOND_US)


def end_links(engine: sa.Engine, now: int) -> None:
    """From now on every link that was made before is refused."""
    with changing(engine, "links.ended", "links", _PURPOSE, now=now) as connection:
        links.replace(connection, _PURPOSE, secrets.token_urlsafe(32), now)


def sign(secret: str, account_id: str, expires: int) -> str:
    """A token: what it says and its digest, both fit for an address."""
    said = _text(f"{expires}:{account_id}".encode())
    return f"{said}.{_digest(secret, said)}"


def check(secret: str, token: str) -> tuple[str, int] | None:
    """The account and the second of the end that a token says, if it is one of this secret."""
    said, _, digest = token.partition(".")
    # Texts are compared, not what they decode to: else some other texts would do as well.
    if not hmac.compare_digest(digest.encode(), _digest(secret, said).encode()):
        return None
    expires, _, account_id = base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)).decode().partition(":")
    return account_id, int(expires)


def _digest(secret: str, said: str) -> str:
    # The purpose keeps a digest made for something else from being taken for a link.
    made = hmac.digest(secret.encode(), f"billing {_PURPOSE} link\n{said}".encode(), hashlib.sha256)
    return _text(made[:_DIGEST_BYTES])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _secret(engine: sa.Engine, now: int) -> str:
    """The secret, made the first time."""
    with reading(engine) as connection:
        held = links.secret(connection, _PURPOSE)
    if held is not None:
        return held
    with changing(engine, "links.begun", "links", _PURPOSE, now=now) as connection:
        links.keep_first(connection, _PURPOSE, secrets.token_urlsafe(32), now)
        made = links.secret(connection, _PURPOSE)
    assert made is not None
    return made
