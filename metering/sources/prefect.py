"""Prefect's own events, as its server gives them (`prefect.task-run.*`).

The terminal event alone is enough: it carries the run's times and `total_run_time`, the orchestrator's own
figure, which sums the attempts of a retried run and leaves out the waits between them.

The event's name ends in the state's *name*, which users set; what happened is the state's *type*. Only for
`Cached` and `RolledBack`, which Prefect itself gives to completions, does the name count.

A run that ended before it started (cancelled while pending, say) has no `start_time`: it started when it
ended. Without an `end_time` the state's own timestamp stands in, then the event's. Without a
`total_run_time` the duration is the time between the two. Names longer than a label are cut, since a server
cannot be told to shorten them; they place a run in a group and decide nothing else.
"""

from __future__ import annotations

from typing import Any

from metering.event import MAX_LABEL, TaskRunEvent
from metering.sources.admission import Admission
from metering.sources.fields import (
    FieldError,
    check_task_run_id,
    duration_of,
    instant_of,
    kind_of,
    object_of,
    required_text,
    text_of,
    value_of,
)

_EVENT = _RESOURCE = "prefect.task-run."
_FLOW_RUN = "prefect.flow-run."
_ID = "prefect.resource.id"
_NAME = "prefect.resource.name"
_ROLE = "prefect.resource.role"
_STATE_TYPE = "prefect.state-type"
_STATE_NAME = "prefect.state-name"
_STATE_TIMESTAMP = "prefect.state-timestamp"

_FINAL_TYPES = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_NAMED_COMPLETIONS = {"Cached": "CACHED", "RolledBack": "ROLLED_BACK"}


def read_prefect(event: dict[str, Any], admission: Admission) -> TaskRunEvent | None:
    """The event that a Prefect event states; None where it is not about a task run, or not final.

    The account comes from `admission` alone: a payload is the client's claim. Raises FieldError, naming the
    field as Prefect does.
    """
    name = required_text(event, "event")
    if not name.startswith(_EVENT):
        return None
    resource = object_of(event, "resource")
    state = _state(resource, name.removeprefix(_EVENT))
    if state is None:
        return None
    account = admission.account(admission.default_account or admission.only_account)
    task_run_id = _task_run_id(resource)
    task_run = object_of(object_of(event, "payload"), "task_run")
    started_at, ended_at = _times(task_run, resource, event)
    admission.check_times(started_at, ended_at, "start_time", "end_time")
    duration_us = duration_of(task_run, "total_run_time")
    flow, flow_run_id = _flow(event)
    return TaskRunEvent(
        account=account,
        task_run_id=task_run_id,
        state=state,
        started_at=started_at,
        ended_at=ended_at,
        duration_us=ended_at - started_at if duration_us is None else duration_us,
        flow=flow,
        flow_run_id=flow_run_id,
        task=_short(task_run, "name"),
        source="prefect",
    )


def _state(resource: dict[str, Any], suffix: str) -> str | None:
    """Our state of a final Prefect state. An event that names no state at all states nothing: None."""
    state_type = value_of(resource, _STATE_TYPE)
    state_name = value_of(resource, _STATE_NAME)
    if state_type is None and state_name is None:
        return None
    state_type = required_text(resource, _STATE_TYPE)
    if state_type != "COMPLETED":
        return state_of(state_type, None)
    return state_of(state_type, suffix if state_name is None else text_of(resource, _STATE_NAME))


def state_of(state_type: str | None, state_name: str | None) -> str | None:
    """Our state of what Prefect calls one; None for a state that is not final.

    >>> state_of("COMPLETED", "Cached"), state_of("FAILED", "Cached"), state_of("RUNNING", "Completed")
    ('CACHED', 'FAILED', None)
    """
    if state_type not in _FINAL_TYPES:
        return None
    return _NAMED_COMPLETIONS.get(state_name or "", state_type) if state_type == "COMPLETED" else state_type


def _task_run_id(resource: dict[str, Any]) -> str:
    resource_id = required_text(resource, _ID)
    if not resource_id.startswith(_RESOURCE):
        raise FieldError(_ID, f"{_ID} must start with {_RESOURCE} and go on with the task run's id")
    return check_task_run_id(_ID, resource_id.removeprefix(_RESOURCE))


def _times(task_run: dict[str, Any], resource: dict[str, Any], event: dict[str, Any]) -> tuple[int, int]:
    ended_at = instant_of(task_run, "end_time")
    if ended_at is None:
        ended_at = instant_of(resource, _STATE_TIMESTAMP)
    if ended_at is None:
        ended_at = instant_of(event, "occurred")
    if ended_at is None:
        raise FieldError("end_time", "end_time is missing; a final event needs it")
    started_at = instant_of(task_run, "start_time")
    return (ended_at if started_at is None else started_at), ended_at


def _flow(event: dict[str, Any]) -> tuple[str, str]:
    """Name of the flow and id of the flow run; empty for a task outside any flow."""
    related = value_of(event, "related")
    if related is None:
        return "", ""
    if not isinstance(related, list):
        raise FieldError("related", f"related must be an array, not {kind_of(related)}")
    flow = flow_run_id = ""
    for entry in related:
        if not isinstance(entry, dict):
            raise FieldError("related", f"related must hold objects, not {kind_of(entry)}")
        role = text_of(entry, _ROLE)
        if role == "flow":
            flow = flow or _short(entry, _NAME)
        elif role == "flow-run":
            flow_run_id = flow_run_id or _short(entry, _ID).removeprefix(_FLOW_RUN)
    return flow, flow_run_id


def _short(fields: dict[str, Any], name: str) -> str:
    return (text_of(fields, name) or "")[:MAX_LABEL]
