"""A half of a run, and what the halves of a run come to. Pure."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec
import msgspec.msgpack

from metering.event import TaskRunEvent
from metering.outcome import THRESHOLD_US

STARTED = "STARTED"
_encode = msgspec.msgpack.Encoder().encode


class Half(msgspec.Struct, frozen=True, gc=False):
    """A statement that a run started, or ended in some state, at an instant. `state` is `STARTED` or one of
    `outcome.FINAL_STATES`. Of a start only the instant counts: what ran is told by the end."""

    account: str
    task_run_id: str
    state: str
    at: int
    workspace: str = ""
    flow: str = ""
    flow_run_id: str = ""
    source: str = ""

    @property
    def fingerprint(self) -> int:
        """64 bits (signed) over every field: two halves with equal fingerprints are duplicates."""
        digest = blake2b(_encode(self), digest_size=8).digest()
        (number,) = struct.unpack(">q", digest)
        return int(number)

    @property
    def is_start(self) -> bool:
        return self.state == STARTED

    @property
    def is_whole(self) -> bool:
        """What did not complete is not billed however long it took: its end says all."""
        return self.state not in (STARTED, "COMPLETED")


class Paired(NamedTuple):
    """What some halves of one run come to: events to be metered, and the halves that need no other."""

    events: list[TaskRunEvent]
    settled: list[Half]


def pair(halves: Iterable[Half]) -> Paired:
    """All that is held of one run.

    A completion goes with every start before it. Of these pairs only two can ever decide (docs/rules.md §2:
    the highest outcome, then the earliest end, then the shortest duration): with the latest start of all, and
    with the latest by which it is longer than a second. Halves that come later can only add pairs, never take
    one away, so what holds in the end depends on the set of halves alone.
    """
    halves = list(halves)
    starts = sorted({half.at for half in halves if half.is_start})
    ends = [half for half in halves if not half.is_start]
    paired = Paired([], [])
    for end in ends:
        events = (
            [_event(end, end.at)] if end.is_whole else [_event(end, at) for at in _deciding(starts, end.at)]
        )
        paired.events.extend(events)
        if events:
            paired.settled.append(end)
    last = max((end.at for end in ends), default=None)
    paired.settled.extend(half for half in halves if half.is_start and last is not None and half.at <= last)
    return paired


def _deciding(starts: list[int], end: int) -> Iterator[int]:
    """The latest of these starts that is not after `end`, and the latest by which the run is billable."""
    before = bisect_right(starts, end)
    if before:
        yield starts[before - 1]
        billable = bisect_right(starts, end - THRESHOLD_US - 1)
        if 0 < billable < before:
            yield starts[billable - 1]


def _event(end: Half, started_at: int) -> TaskRunEvent:
    return TaskRunEvent(
        account=end.account,
        task_run_id=end.task_run_id,
        state=end.state,
        started_at=started_at,
        ended_at=end.at,
        duration_us=end.at - started_at,
        workspace=end.workspace,
        flow=end.flow,
        flow_run_id=end.flow_run_id,
        source=end.source,
    )
