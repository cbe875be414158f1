"""The native format, one event at a time. Slower than `task_run_batch`, and finds the exact error."""

from __future__ import annotations

from typing import Any

from metering.event import TaskRunEvent
from metering.outcome import FINAL_STATES
from metering.sources.admission import Admission
from metering.sources.fields import (
    check_task_run_id,
    duration_of,
    label_of,
    required_instant,
    required_text,
    text_of,
)


def read_task_run(fields: dict[str, Any], admission: Admission) -> TaskRunEvent | None:
    """The event that a native object states; None where its state is not final. Raises FieldError."""
    if not in_final_state(fields):
        return None
    return read_final(fields, admission.account(text_of(fields, "account")), admission)


def in_final_state(fields: dict[str, Any]) -> bool:
    """Whether an event counts at all: its state comes first, whatever else it has or lacks."""
    return required_text(fields, "state") in FINAL_STATES


def read_final(fields: dict[str, Any], account: str, admission: Admission) -> TaskRunEvent:
    """The event of a native object in a final state, for an account that was checked before."""
    task_run_id = check_task_run_id("task_run_id", required_text(fields, "task_run_id"))
    started_at = required_instant(fields, "started_at")
    ended_at = required_instant(fields, "ended_at")
    admission.check_times(started_at, ended_at, "started_at", "ended_at")
    duration_us = duration_of(fields, "duration")
    return TaskRunEvent(
        account=account,
        task_run_id=task_run_id,
        state=fields["state"],
        started_at=started_at,
        ended_at=ended_at,
        duration_us=ended_at - started_at if duration_us is None else duration_us,
        workspace=label_of(fields, "workspace"),
        flow=label_of(fields, "flow"),
        flow_run_id=label_of(fields, "flow_run_id"),
        task=label_of(fields, "task"),
        source=label_of(fields, "source"),
    )
