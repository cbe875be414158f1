"""Where the reading of a source's events stands, and what to read next. Pure: instants in, passes out.

The *cursor* `read_to` says up to where everything that had occurred was asked for once. It is never trusted
alone: rows come late, and carry the time at which they occurred. So each poll is a *pass* that begins before
the cursor: by minutes at every poll, by hours once an hour, by a day once a day. A pass that was cut short
goes on where it was, also in another process; what came late behind its back is left to the next one of its
reach, which begins before the time at which that one began.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US

# What occurred less than this ago may still be on its way within the server.
LAG_US = 30 * SECOND_US
# A pass asks for so much time at once: servers refuse questions about weeks, and large answers are slow.
SLICE_US = 6 * HOUR_US
# A server that is too slow for that is asked for less, down to so little.
SMALLEST_SLICE_US = MINUTE_US
# Repairs are read from so long before what is missing to so long after it.
AROUND_US = MINUTE_US

Reach = Literal["near", "wide", "day"]

# By how much what a pass of each reach finds may be late, and how often there is one.
BACK_US: dict[Reach, int] = {"near": 2 * MINUTE_US, "wide": 3 * HOUR_US, "day": 25 * HOUR_US}
EVERY_US: dict[Reach, int] = {"near": 0, "wide": HOUR_US, "day": DAY_US}


class Span(NamedTuple):
    """From `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pass:
    """What occurred from `at` to `end` is still to be read. `begun_at`: what arrives later, it may miss."""

    reach: Reach
    at: int
    end: int
    begun_at: int

    def slice(self, size_us: int = SLICE_US) -> Span:
        """The part to ask for next."""
        return Span(self.at, min(self.at + size_us, self.end))

    @property
    def done(self) -> bool:
        return self.at >= self.end


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a source's events are read. `since`: nothing from before is asked for. `wide_at` and `day_at`:
    when the last finished pass of at least that reach began."""

    since: int
    read_to: int | None = None
    under_way: Pass | None = None
    wide_at: int | None = None
    day_at: int | None = None


class Next(NamedTuple):
    """What to do now; `lost` is the time of which the server may have forgotten events before they were
    read."""

    reading: Reading
    lost: Span | None


def latest(now: int, server_now: int | None) -> int:
    """Up to where events may be asked for: neither clock is trusted to be right, the earlier one is safe."""
    return min(now, now if server_now is None else server_now) - LAG_US


def begin(reading: Reading, until: int, retention_us: int) -> Next:
    """Begin the pass that is due, or go on with the one that is under way, up to `until`. There is none where
    time has not moved on."""
    reading = _within(reading, until)
    start = reading.since if reading.read_to is None else reading.read_to
    forgotten = until - retention_us
    lost = Span(start, forgotten) if start < forgotten else None
    if reading.under_way is not None:
        going_on = replace(reading.under_way, end=max(until, reading.under_way.at))
    else:
        reach = _due(reading, until)
        last = {"near": start, "wide": reading.wide_at, "day": reading.day_at}[reach]
        first = start if last is None else min(start, last)
        going_on = Pass(reach, max(reading.since, first - BACK_US[reach]), until, until)
    return Next(replace(reading, under_way=None if going_on.done else going_on), lost)


def advance(reading: Reading, at: int) -> Reading:
    """Everything of the pass that occurred before `at` is kept. The cursor goes with it, never back."""
    going_on = reading.under_way
    assert going_on is not None and going_on.at <= at <= going_on.end, "a pass only goes on within its bounds"
    read_to = at if reading.read_to is None else max(reading.read_to, at)
    reading = replace(reading, read_to=read_to, under_way=replace(going_on, at=at))
    return _finish(reading, going_on) if at >= going_on.end else reading


def _finish(reading: Reading, done: Pass) -> Reading:
    wide_at = done.begun_at if done.reach != "near" else reading.wide_at
    day_at = done.begun_at if done.reach == "day" else reading.day_at
    return replace(reading, under_way=None, wide_at=wide_at, day_at=day_at)


def _within(reading: Reading, until: int) -> Reading:
    """A clock that was ahead has moved the cursor into the future. It comes back, and as nobody knows what
    was skipped meanwhile, days are read again."""
    if reading.read_to is None or reading.read_to <= until:
        return reading
    if reading.read_to - until <= BACK_US["near"]:
        return reading  # a clock that was set right by a little: the next pass begins before it anyway
    return replace(reading, read_to=max(reading.since, until), under_way=None, wide_at=None, day_at=None)


def _due(reading: Reading, now: int) -> Reach:
    if reading.read_to is None:
        return "day"
    if _is_due(reading.day_at, now, EVERY_US["day"]):
        return "day"
    return "wide" if _is_due(reading.wide_at, now, EVERY_US["wide"]) else "near"


def _is_due(last: int | None, now: int, every_us: int) -> bool:
    return last is None or now - last >= every_us or last > now


def spans_around(instants: Iterable[int]) -> list[Span]:
    """The spans in which events of these instants are to be found; those that touch are one.

    >>> [span.end - span.start for span in spans_around([0, AROUND_US, 10 * AROUND_US])] == [
    ...     3 * AROUND_US, 2 * AROUND_US]
    True
    """
    found: list[Span] = []
    for instant in sorted(instants):
        span = Span(instant - AROUND_US, instant + AROUND_US)
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
    return found
