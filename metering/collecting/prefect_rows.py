"""A task run as Prefect's server remembers it: the row of its `task_runs`, read by docs/rules.md §2. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from metering.agreement import Ended
from metering.event import MAX_LABEL, TaskRunEvent
from metering.outcome import classify
from metering.sources.fields import (
    FieldError,
    check_task_run_id,
    duration_of,
    instant_of,
    object_of,
    required_text,
    text_of,
)
from metering.sources.prefect import state_of


class Row(NamedTuple):
    """`run` is None for a row that stands for a subflow, or whose state is not final. `stated_at` is when the
    run came into its state, by its client's clock; `written_at` when the row was last written, by the
    server's. `said` is its raw row."""

    task_run_id: str
    ended_at: int
    stated_at: int
    written_at: int
    run: Ended | None
    said: dict[str, Any]


def read_row(row: dict[str, Any]) -> Row:
    """Raises FieldError."""
    task_run_id = required_text(row, "id")
    ended_at = instant_of(row, "end_time")
    if ended_at is None:
        raise FieldError("end_time", "end_time is missing")
    state = _state(row)
    stated_at = instant_of(state, "timestamp")
    if stated_at is None:
        stated_at = ended_at
    written_at = instant_of(row, "updated")
    return Row(
        task_run_id,
        ended_at,
        stated_at,
        max(ended_at, stated_at) if written_at is None else written_at,
        _run(row, state, task_run_id, ended_at),
        row,
    )


def flow_run_of(row: Row) -> str:
    """The id of the flow run that it was part of; empty for none. Raises FieldError."""
    return text_of(row.said, "flow_run_id") or ""


def event_of(row: Row, account: str, workspace: str, flow: str) -> TaskRunEvent:
    """What the row says, as an event would have. Raises FieldError."""
    given, ended_at = row.said, row.ended_at
    final = _final(given, _state(given))
    assert final is not None, "rows that are task runs have a final state"
    started_at = instant_of(given, "start_time")
    return TaskRunEvent(
        account=account,
        task_run_id=check_task_run_id("id", row.task_run_id),
        state=final,
        started_at=ended_at if started_at is None else min(started_at, ended_at),
        ended_at=ended_at,
        duration_us=_duration(given, ended_at),
        workspace=workspace,
        flow=flow[:MAX_LABEL],
        flow_run_id=flow_run_of(row),
        task=(text_of(given, "name") or "")[:MAX_LABEL],
        source="prefect",
    )


def _state(row: dict[str, Any]) -> dict[str, Any]:
    return object_of(row, "state") if row.get("state") is not None else {}


def _final(row: dict[str, Any], state: dict[str, Any]) -> str | None:
    kind = text_of(state, "type") or text_of(row, "state_type")
    return state_of(kind, text_of(state, "name") or text_of(row, "state_name"))


def _run(row: dict[str, Any], state: dict[str, Any], task_run_id: str, ended_at: int) -> Ended | None:
    details = state.get("state_details")
    if isinstance(details, dict) and details.get("child_flow_run_id") is not None:
        return None
    final = _final(row, state)
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
