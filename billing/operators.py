"""Operators sign in to the console by a link that works once. There are no passwords to be chosen, kept,
guessed or sent around: whoever may use the command line, or has an admin key, makes a link for somebody, by
name and with a role, and it opens a session of some hours (docs/decisions/0024).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa

from billing.audit.trail import change, changing
from billing.errors import BillingError, Invalid, NotFound
from billing.ids import new_id
from billing.repository import operators
from billing.repository.operators import OperatorSession
from metering.database import reading, writing
from metering.period import HOUR_US, MINUTE_US, format_instant, format_optional

Role = Literal["viewer", "finance", "admin"]
# Each may what those before it may.
ROLES: tuple[Role, ...] = get_args(Role)

# Long enough to change the window, too short to be found in a mailbox.
LINK_LIFE_US = 10 * MINUTE_US
# A working day: who is at it tomorrow signs in again.
SESSION_LIFE_US = 10 * HOUR_US
# Where the console is, below the address of the service.
PLACE = "/console/"

_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}", re.ASCII).fullmatch
State = Literal["waiting", "open", "ended", "expired"]


class BadSignIn(BillingError):  # noqa: N818 - reads as what happened
    """A link that opens nothing: `why` says it to whoever has it."""


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link and its secret, together this once."""

    session: OperatorSession
    secret: str

    def url(self, base: str) -> str:
        """Where it leads, below the address of the service."""
        return f"{base.rstrip('/')}{PLACE}sign-in?link={self.secret}"

    def to_data(self, base: str) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "id": self.session.id,
            "name": self.session.name,
            "role": self.session.role,
            "url": self.url(base),
            "expires_at": format_instant(self.session.link_expires_at),
        }


def make_link(engine: sa.Engine, name: str, role: str, *, by: str, now: int) -> NewLink:
    """A link that opens one session of an operator, within ten minutes. Raises Invalid."""
    if not _NAME(name):
        raise Invalid(
            f"name {name!r} is not usable; say who it is for, in 1 to 64 of the characters A-Z a-z 0-9 . _ @ "
            "+ - and spaces",
            field="name",
        )
    if role not in ROLES:
        raise Invalid(f"role {role!r} is not one of {', '.join(ROLES)}", field="role")
    secret = secrets.token_urlsafe(_RANDOM_BYTES)
    made = OperatorSession(new_id("ops", now), name, role, by, now, now + LINK_LIFE_US)
    with changing(engine, "operator.link_made", "operator", made.id, now=now, by=by) as connection:
        operators.add(connection, made, _digest(secret))
    return NewLink(made, secret)


def look_at_link(engine: sa.Engine, secret: str, now: int) -> OperatorSession:
    """Whom a link is for, without using it up: whatever only looks at the page behind it, such as the preview
    of a message, opens nothing. Raises BadSignIn."""
    with reading(engine) as connection:
        found = operators.of_link(connection, _digest(secret))
    return _usable(found, now)


def open_session(engine: sa.Engine, secret: str, now: int) -> tuple[OperatorSession, str]:
    """The session that a link opens, this once, and its secret. Raises BadSignIn."""
    session_secret = secrets.token_urlsafe(_RANDOM_BYTES)
    found = look_at_link(engine, secret, now)
    by = found.acts_as
    with changing(engine, "operator.signed_in", "operator", found.id, now=now, by=by) as connection:
        ends = now + SESSION_LIFE_US
        opened = operators.open_(connection, found.id, _digest(session_secret), now, ends)
        if opened is None:  # somebody else was faster
            opened = _usable(operators.of_link(connection, _digest(secret)), now)
    return opened, session_secret


def session_of(engine: sa.Engine, secret: str, now: int) -> OperatorSession | None:
    """The session with this secret, while it lasts."""
    with reading(engine) as connection:
        found = operators.of_session(connection, _digest(secret))
    return found if found is not None and state_of(found, now) == "open" else None


def list_sessions(
    engine: sa.Engine, now: int, *, every: bool = False, limit: int | None = None
) -> list[OperatorSession]:
    """The newest first: links that can still be used and open sessions, or `every` there ever was."""
    with reading(engine) as connection:
        return operators.search(connection, now, every=every, limit=limit)


def end_session(engine: sa.Engine, session_id: str, now: int) -> None:
    """Its next request is refused; a link that was not used opens nothing any more. Raises NotFound."""
    with changing(engine, "operator.session_ended", "operator", session_id, now=now) as connection:
        if not operators.end(connection, session_id, now):
            raise NotFound(f"there is no session {session_id!r}; see: billing operators list")


def end_sessions(engine: sa.Engine, now: int) -> int:
    """The same for all; answers how many that were."""
    with writing(engine) as connection:
        left = operators.search(connection, now, every=False)
        for each in left:
            with change(connection, "operator.session_ended", "operator", each.id, now=now):
                operators.end(connection, each.id, now)
    return len(left)


def state_of(session: OperatorSession, now: int) -> State:
    """`waiting`: the link was not used yet."""
    if session.ended_at is not None:
        return "ended"
    until = session.link_expires_at if session.expires_at is None else session.expires_at
    if until <= now:
        return "expired"
    return "waiting" if session.opened_at is None else "open"


def may(role: str, least: Role) -> bool:
    """Whether a role is enough where another is the least."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(least)


def session_data(session: OperatorSession, now: int) -> dict[str, object]:
    """In the shape of JSON answers, without secrets."""
    return {
        "id": session.id,
        "name": session.name,
        "role": session.role,
        "state": state_of(session, now),
        "made_by": session.author,
        "made_at": format_instant(session.made_at),
        "opened_at": format_optional(session.opened_at),
        "expires_at": format_instant(
            session.link_expires_at if session.expires_at is None else session.expires_at
        ),
        "ended_at": format_optional(session.ended_at),
    }


def _usable(found: OperatorSession | None, now: int) -> OperatorSession:
    again = "ask for another: billing operators link NAME --role ROLE"
    if found is None:
        raise BadSignIn(f"this link is not whole, or was never made here; {again}")
    if found.opened_at is not None:
        raise BadSignIn(f"this link was used already, and works once; {again}")
    if found.ended_at is not None:
        raise BadSignIn(f"this link was withdrawn; {again}")
    if found.link_expires_at <= now:
        raise BadSignIn(f"this link was not used in time; {again}")
    return found


def _digest(secret: str) -> str:
    # 256 random bits: a plain digest protects them.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
