"""A task run as Prefect's server remembers it: the row of its `task_runs`, read by docs/rules.md §2. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from metering.agreement import Ended
from metering.outcome import classify
from metering.sources.fields import FieldError, duration_of, instant_of, object_of, required_text, text_of
from metering.sources.prefect import state_of


class Row(NamedTuple):
    """`run` is None for a row that stands for a subflow, or whose state is not final. `stated_at` is when the
    run came into its state."""

    task_run_id: str
    ended_at: int
    stated_at: int
    run: Ended | None


def read_row(row: dict[str, Any]) -> Row:
    """Raises FieldError."""
    task_run_id = required_text(row, "id")
    ended_at = instant_of(row, "end_time")
    if ended_at is None:
        raise FieldError("end_time", "end_time is missing")
    state = object_of(row, "state") if row.get("state") is not None else {}
    stated_at = instant_of(state, "timestamp")
    return Row(
        task_run_id,
        ended_at,
        ended_at if stated_at is None else stated_at,
        _run(row, state, task_run_id, ended_at),
    )


def _run(row: dict[str, Any], state: dict[str, Any], task_run_id: str, ended_at: int) -> Ended | None:
    details = state.get("state_details")
    if isinstance(details, dict) and details.get("child_flow_run_id") is not None:
        return None
    kind = text_of(state, "type") or text_of(row, "state_type")
    final = state_of(kind, text_of(state, "name") or text_of(row, "state_name"))
    if final is None:
        return None
    outcome = classify(final, _duration(row, ended_at))
    assert outcome is not None, f"{final} is final"
    return Ended(task_run_id, outcome, ended_at)


def _duration(row: dict[str, Any], ended_at: int) -> int:
    duration_us = duration_of(row, "total_run_time")
    if duration_us is not None:
        return duration_us
    started_at = instant_of(row, "start_time")
    return max(ended_at - (ended_at if started_at is None else started_at), 0)
