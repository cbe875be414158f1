"""TaskRunEvent: one statement by a source that a task run finished in some state."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from metering.outcome import Outcome, Statement, classify

MAX_ACCOUNT = 64
MAX_TASK_RUN_ID = 128
MAX_LABEL = 200


class TaskRunEvent(msgspec.Struct, frozen=True, gc=False):
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
        """64 bits (signed) over every field beside the run's identity: two events of one run with equal
        fingerprints are equal in every field, that is, duplicates. The store keeps it instead of the fields
        that decide nothing. Fields that decide a bill are kept as they are, so a collision (chance 2⁻⁶⁴ for
        a pair) could only drop an event whose sibling of the same run is held."""
        # NUL cannot occur in a field (the sources refuse it), so it separates them without ambiguity.
        text = (
            f"{self.state}\x00{self.started_at}\x00{self.ended_at}\x00{self.duration_us}\x00{self.workspace}\x00"
            f"{self.flow}\x00{self.flow_run_id}\x00{self.task}\x00{self.source}"
        )
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
