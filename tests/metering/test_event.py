"""TaskRunEvent: what it says, and when two of one run are duplicates."""

from __future__ import annotations

import msgspec
import pytest

from metering.event import TaskRunEvent
from metering.outcome import Outcome, Statement

EVENT = TaskRunEvent(
    "acme", "run-1", "COMPLETED", 0, 4_250_000, 4_250_000, "prod", "etl", "fr-1", "load", "x"
)


def test_an_event_says_what_its_state_and_duration_say() -> None:
    assert EVENT.outcome is Outcome.BILLABLE
    assert EVENT.statement == Statement(Outcome.BILLABLE, 4_250_000, 4_250_000, "x", "etl", "prod")


@pytest.mark.parametrize(
    "change",
    [
        {"state": "CACHED"},
        {"started_at": 1},
        {"ended_at": 1},
        {"duration_us": 1},
        {"workspace": ""},
        {"flow": ""},
        {"flow_run_id": ""},
        {"task": ""},
        {"source": ""},
        {"workspace": "", "flow": "prodetl"},
    ],
)
def test_events_that_differ_in_any_field_are_no_duplicates(change: dict[str, object]) -> None:
    assert msgspec.structs.replace(EVENT, **change).fingerprint != EVENT.fingerprint


def test_the_fingerprint_is_stable_and_fits_a_signed_64_bit_column() -> None:
    again = TaskRunEvent(*msgspec.structs.astuple(EVENT))
    assert again.fingerprint == EVENT.fingerprint
    assert -(2**63) <= EVENT.fingerprint < 2**63


def test_the_fingerprint_of_an_event_is_the_same_in_every_version() -> None:
    """It is stored: a change would make every re-delivery a new statement."""
    assert EVENT.fingerprint == -727603168388065088
