"""How many requests there may be in a time: counted by subject in windows, which begin with a subject's first
request. Pure: the time is an argument.

In any window there are at most so many; in any stretch of time of its length at most twice as many.
"""

from __future__ import annotations

from typing import NamedTuple

from metering.period import SECOND_US

# Subjects that are counted at a time: a flood from everywhere is not to take all memory.
MOST_SUBJECTS = 50_000


class Taken(NamedTuple):
    """What is left of the window after this request, and in how many seconds it is over."""

    allowed: bool
    left: int
    seconds: int


class Quota:
    """`requests` in `seconds`, for each subject. `name` is what the answers call it."""

    __slots__ = ("_counts", "_length", "name", "policy", "requests", "seconds")

    def __init__(self, name: str, requests: int, seconds: int) -> None:
        self.name = name
        self.requests = requests
        self.seconds = seconds
        self.policy = f'"{name}";q={requests};w={seconds}'.encode()
        self._length = seconds * SECOND_US
        self._counts: dict[str, tuple[int, int]] = {}

    def take(self, subject: str, now: int) -> Taken:
        """Count a request. One that is refused is not counted."""
        begun, count = self._counts.get(subject, (now, 0))
        if not 0 <= now - begun < self._length:
            begun, count = now, 0
        allowed = count < self.requests
        if allowed:
            count += 1
            if count == 1 and len(self._counts) >= MOST_SUBJECTS:
                self._forget(now)
            self._counts[subject] = begun, count
        return Taken(allowed, self.requests - count, -((now - begun - self._length) // SECOND_US))

    def _forget(self, now: int) -> None:
        """Those whose window is over; or all, if none is."""
        held = {name: each for name, each in self._counts.items() if 0 <= now - each[0] < self._length}
        self._counts = held if len(held) < MOST_SUBJECTS else {}


def quota(name: str, setting: str) -> Quota | None:
    """Of a setting: `600/60` are 600 requests in 60 seconds; none for `off`.

    >>> quota("key", "600/60").policy, quota("key", "off")
    (b'"key";q=600;w=60', None)
    """
    if setting == "off":
        return None
    requests, _, seconds = setting.partition("/")
    return Quota(name, int(requests), int(seconds))
