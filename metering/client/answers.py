"""What an answer of the service means for a batch, and how long to wait before the next attempt. Pure: the
time is an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

LONGEST_WAIT_S = 60.0
# A service that asks for more than this is asked again all the same.
LONGEST_ASKED_S = 3600.0
_SAID = 200


class Reply(NamedTuple):
    """An answer as it came; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """The batch is in the meter; what was rejected never will be as it is."""

    accepted: int
    duplicate: int
    ignored: int
    rejected: int
    errors: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Nothing was taken: the batch is larger than something on the way allows."""


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing was taken, or it cannot be known: send it again. `loud`: a person must do something."""

    problem: str
    asked_s: float | None = None
    loud: bool = False


Verdict = Taken | TooLarge | Later


def judge(reply: Reply, events: int, now: datetime) -> Verdict:
    """What became of a batch of so many events.

    Only an answer that counts every event of the batch makes it leave the spool: a page that a proxy answers
    with 200 does not.
    """
    if reply.status == 200:
        return _taken(reply.body, events)
    if reply.status == 413:
        return TooLarge()
    if reply.status in (408, 425, 429) or reply.status >= 500:
        asked = asked_wait(reply.headers.get("retry-after", ""), now)
        return Later(f"it answers {reply.status}{_detail(reply)}", asked)
    if reply.status in (401, 403):
        return Later(f"it refuses the API key ({reply.status}{_detail(reply)}); check the key", loud=True)
    return Later(f"it answers {reply.status}{_detail(reply)}; check the address", loud=True)


def _taken(body: bytes, events: int) -> Verdict:
    try:
        said = json.loads(body)
        counts = [int(said[name]) for name in ("accepted", "duplicate", "ignored", "rejected")]
        errors = [each for each in said["errors"] if 0 <= int(each["index"]) < events]
    except (ValueError, TypeError, KeyError, OverflowError):
        return Later("it answers 200 and does not count the events; is it the service?", loud=True)
    if sum(counts) != events or min(counts) < 0:
        return Later("it answers 200 and does not count every event; is it the service?", loud=True)
    return Taken(counts[0], counts[1], counts[2], counts[3], errors)


def _detail(reply: Reply) -> str:
    """What a problem document says."""
    try:
        detail = json.loads(reply.body)["detail"]
    except (ValueError, TypeError, KeyError):
        return ""
    return f": {detail[:_SAID]}" if isinstance(detail, str) else ""


def asked_wait(retry_after: str, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date; None where it cannot be read.

    >>> asked_wait("7", datetime.fromisoformat("2026-10-03T02:00:00Z"))
    7.0
    >>> asked_wait("Sat, 03 Oct 2026 02:00:30 GMT", datetime.fromisoformat("2026-10-03T02:00:00Z"))
    30.0
    """
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_ASKED_S)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), LONGEST_ASKED_S)


def pause(attempt: int, asked_s: float | None, chance: float) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (from 1): twice as long each time, up to a
    minute, less up to half of it by `chance` (from 0 to 1), so that clients do not all come back at once.
    What the service asks for is always waited, and up to a tenth more.

    >>> pause(1, None, 1.0), pause(3, None, 0.0), pause(99, None, 1.0), pause(1, 30.0, 0.5)
    (1.0, 2.0, 60.0, 31.5)
    """
    if asked_s is not None and asked_s > 0:
        return asked_s * (1 + chance / 10)
    return min(2.0 ** min(attempt - 1, 30), LONGEST_WAIT_S) * (1 + chance) / 2
