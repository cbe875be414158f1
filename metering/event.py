"""TaskRunEvent: one statement by a source that a task run finished in some state."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b

import msgspec
import msgspec.msgpack

from metering.outcome import Outcome, Statement, classify

MAX_ACCOUNT = 64
MAX_TASK_RUN_ID = 128
MAX_LABEL = 200


# One encoding of an event's fields, for good: a field that is added later, and absent, changes nothing.
_encode = msgspec.msgpack.Encoder().encode


class TaskRunEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A valid event in a final state. Instants are microseconds since the epoch (see `period`); absent text
    is empty. `state` is one of `outcome.FINAL_STATES`. Made by the modules in `sources`, which check it."""

    account: str
    task_run_id: str
    state: str
    started_at: int
    ended_at: int
    duration_us: int
    workspace: str = ""
    flow: str = ""
    flow_run_id: str = ""
    task: str = ""
    source: str = ""

    @property
    def outcome(self) -> Outcome:
        """What the event says of its run (docs/rules.md §2)."""
        outcome = classify(self.state, self.duration_us)
        assert outcome is not None, f"{self.state} is not a final state"
        return outcome

    @property
    def statement(self) -> Statement:
        return Statement(
            self.outcome, self.ended_at, self.duration_us, self.source, self.flow, self.workspace
        )

    @property
    def fingerprint(self) -> int:
        """64 bits (signed) over every field: two events of one run with equal
        fingerprints are equal in every field, that is, duplicates. The store keeps it instead of the fields
        that decide nothing. Fields that decide a bill are kept as they are, so a collision (chance 2⁻⁶⁴ for
        a pair) could only drop an event whose sibling of the same run is held."""
        return fingerprints([self])[0]


def fingerprints(events: Sequence[TaskRunEvent]) -> tuple[int, ...]:
    """The fingerprint of each event."""
    digests = [blake2b(_encode(event), digest_size=8).digest() for event in events]
    return struct.unpack(f">{len(digests)}q", b"".join(digests))
