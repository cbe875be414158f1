"""Who acts, as the door knows it; operations need not hand it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

# Who acts when nobody says: the person at the command line.
OPERATOR = "operator"
# Who asks over HTTP before they showed a key.
NOBODY = "nobody"
# Whoever has a link to the pages of an account.
CUSTOMER = "customer's page"
# The jobs of `billing serve`.
SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Actor:
    """`request`: the id of the request, as its answer and the log have it. `under`: what allows it, which is
    recorded with whatever is done."""

    name: str = OPERATOR
    request: str | None = None
    under: Mapping[str, str] = field(default_factory=dict)


_AT_THE_KEYBOARD = Actor()
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def actor() -> Actor:
    return _actor.get() or _AT_THE_KEYBOARD


def act(name: str, request: str | None = None) -> None:
    """From here on in this request, or process."""
    _actor.set(Actor(name, request))


@contextmanager
def acting(name: str, request: str | None = None, under: Mapping[str, str] | None = None) -> Iterator[None]:
    """For as long as the block."""
    before = _actor.set(Actor(name, request, under or {}))
    try:
        yield
    finally:
        _actor.reset(before)
