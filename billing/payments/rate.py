"""Keeps what all processes together ask of Stripe below its limits (docs/decisions/0009).

The limits are shared out: a process holds a share for a moment, and within it keeps count by itself, so that
a call costs no access to the database. A share of one is one call a second of each endpoint, and four of all
together. Here is who gets how much (`reserve`), how a refusal slows everybody down (`slowed`), and `Pace`,
which makes a process wait its turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import uuid4

from billing.payments.errors import TryAgain
from metering.period import SECOND_US

# Stripe takes 25 requests a second of an endpoint and 100 overall. A little is left free: what leaves here
# at its distance may arrive closer together.
SHARES = 23
OVERALL = 4
# One process alone leaves some to the next, which then need not wait.
MOST = 20
FIRST = 3
# A share is held for this long. After that its calls still count for the second that Stripe looks back, and
# for what clocks may differ.
HELD_US = 2 * SECOND_US
SETTLES_US = SECOND_US + SECOND_US // 2
WINDOW_US = SECOND_US
# After a refusal the pace is halved, at most once a second, and comes back within this long.
RECOVERS_US = 60 * SECOND_US
SLOWEST = 1 / 16
# Whoever would have to wait longer does something else.
LONGEST_WAIT_US = 10 * SECOND_US
# Further ahead lies only what was written by a clock that was wrong.
AHEAD_US = 300 * SECOND_US
# Stripe asks for no longer rest.
REST_US = 86_400 * SECOND_US
_POLL_US = SECOND_US // 5


@dataclass(frozen=True, slots=True)
class Share:
    """What a process may use until an instant; of size 0 while it waits for one."""

    size: int
    until: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What the processes know together. `settling`: shares that were given up, and count until then. `factor`
    is the part of each share that may be used, as of `since`; nothing is asked before `resume_at`."""

    shares: dict[str, Share] = field(default_factory=dict)
    settling: tuple[Share, ...] = ()
    factor: float = 1.0
    since: int = 0
    resume_at: int = 0


def reserve(rate: Rate, holder: str, wants: int, now: int) -> Rate:
    """`holder` gets a share of `wants` or less: what others hold, or held a moment ago, is not given again.
    Who gets nothing is remembered, and those who hold more than their part are then given less."""
    rate = believed(rate, now)
    shares = {name: each for name, each in rate.shares.items() if each.until + SETTLES_US > now}
    settling = tuple(each for each in rate.settling if each.until > now)
    before = shares.pop(holder, Share(0, now))
    free = SHARES - sum(each.size for each in (*shares.values(), *settling))
    size = max(0, min(wants, MOST, free))
    if any(not each.size for each in shares.values()):
        size = min(size, max(1, SHARES // (len(shares) + 1)))
    if size < before.size:
        settling = (*settling, Share(before.size - size, min(before.until, now) + SETTLES_US))
    return replace(rate, shares={**shares, holder: Share(size, now + HELD_US)}, settling=settling)


def believed(rate: Rate, now: int) -> Rate:
    """What is known; nothing, where some of it lies so far ahead that the clock was wrong.

    >>> believed(Rate(resume_at=5), 0).resume_at, believed(Rate(resume_at=5 + REST_US), 0).resume_at
    (5, 0)
    """
    shares = (*rate.shares.values(), *rate.settling)
    latest = max([rate.since, *(each.until for each in shares)])
    return rate if latest <= now + AHEAD_US and rate.resume_at <= now + REST_US else Rate()


def factor(rate: Rate, now: int) -> float:
    """The part of a share that may be used."""
    return min(1.0, rate.factor + max(0, now - rate.since) / RECOVERS_US)


def slowed(rate: Rate, now: int, wait_us: int) -> Rate:
    """Stripe said that it was too much, and how long to wait (0: nothing)."""
    resume_at = max(rate.resume_at, now + wait_us)
    if 0 <= now - rate.since < SECOND_US and rate.factor < 1:
        return replace(rate, resume_at=resume_at)  # of the same moment as the refusal before
    return replace(rate, factor=max(SLOWEST, factor(rate, now) / 2), since=now, resume_at=resume_at)


def endpoint(method: str, path: str) -> str:
    """A method and a route: Stripe's paths go noun, id, noun or verb, id.

    >>> endpoint("post", "/v1/invoices/in_123/add_lines")
    'POST /v1/invoices/{id}/add_lines'
    """
    parts = path.strip("/").split("/")
    return f"{method.upper()} /" + "/".join("{id}" if at in (2, 4) else part for at, part in enumerate(parts))


class SharedRate(Protocol):
    """Where the processes keep what they know together."""

    def change(self, how: Callable[[Rate], Rate]) -> Rate:
        """Put what is there through `how`, nobody else at the same time; answers it as it is then."""


class Pace:
    """One process's part of it; its threads share it. `wait` lets so many microseconds pass."""

    def __init__(self, shared: SharedRate, clock: Callable[[], int], wait: Callable[[int], None]) -> None:
        self._shared = shared
        self._clock = clock
        self._wait = wait
        self._holder = uuid4().hex
        self._lock = threading.Lock()
        self._rate = Rate()
        self._share = Share(0, 0)
        self._wants = FIRST
        # In this share's time: whether calls had to wait, and whether it makes sense to ask for more.
        self._busy = False
        self._may_grow = True
        self._calls: dict[str, deque[int]] = {}
        self._all: deque[int] = deque()

    def before(self, called: str) -> None:
        """Wait until an endpoint may be called. Raises TryAgain where that would take too long."""
        begun = self._clock()
        while True:
            with self._lock:
                now = self._clock()
                pause = self._take(called, now)
            if not pause:
                return
            if now + pause - begun > LONGEST_WAIT_US:
                raise TryAgain("Stripe's rate limit is used up; others are sending, or Stripe asked to wait")
            self._wait(pause)

    def refused(self, wait_us: int) -> None:
        """Stripe said that it was too much."""
        with self._lock:
            now = self._clock()
            self._rate = self._shared.change(lambda rate: slowed(rate, now, wait_us))

    def _take(self, called: str, now: int) -> int:
        """Take a call's place now, and answer 0; or how long to wait before asking again."""
        if self._all and self._all[-1] > now:  # the clock went back
            self._calls.clear()
            self._all.clear()
            self._share = Share(0, now)
        if now >= self._share.until or not self._share.size:
            self._renew(now)
        pause = self._pause(called, now)
        if pause and self._may_grow:
            self._busy = True
            self._wants = min(MOST, 2 * max(self._share.size, FIRST))
            self._reserve(now)
            self._may_grow = self._share.size == self._wants < MOST
            pause = self._pause(called, now)
        if not pause:
            self._calls.setdefault(called, deque()).append(now)
            self._all.append(now)
        return pause

    def _renew(self, now: int) -> None:
        if not self._busy:
            self._wants = max(FIRST, self._wants // 2)
        self._busy, self._may_grow = False, True
        self._reserve(now)

    def _reserve(self, now: int) -> None:
        wants = self._wants
        self._rate = self._shared.change(lambda rate: reserve(rate, self._holder, wants, now))
        self._share = self._rate.shares[self._holder]

    def _pause(self, called: str, now: int) -> int:
        if self._rate.resume_at > now:
            return self._rate.resume_at - now
        if not self._share.size:
            return _POLL_US
        part = self._share.size * factor(self._rate, now)
        own = _free_at(self._calls.get(called, deque()), max(1, int(part)), now)
        both = max(own, _free_at(self._all, max(1, int(part * OVERALL)), now))
        return max(0, min(both, self._share.until) - now)


def _free_at(calls: deque[int], most: int, now: int) -> int:
    """When there are fewer than `most` calls within a second; those before it are forgotten."""
    while calls and calls[0] <= now - WINDOW_US:
        calls.popleft()
    return now if len(calls) < most else calls[-most] + WINDOW_US
