"""Airflow's task instances: what its REST API answers, or an export of its table `task_instance`.

A task instance is one task run, however often it was tried or cleared: `dag_id, run_id, task_id, map_index`
name it, `try_number` does not. `success` is a completion; `failed` and `upstream_failed` are failures. Other
states ran nothing (`skipped`, `removed`), or are not over.

Times of the API carry their offset. Those of the table are UTC, and written as its database does: with a
space for the T, with an offset of hours alone, or with none.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from metering.event import MAX_LABEL, TaskRunEvent
from metering.period import parse_instant
from metering.sources.admission import Admission
from metering.sources.document import Number
from metering.sources.fields import (
    FieldError,
    duration_of,
    is_task_run_id,
    kind_of,
    required_text,
    text_of,
    value_of,
)

_STATES = {"success": "COMPLETED", "failed": "FAILED", "upstream_failed": "FAILED"}
# What the list of task instances is called in an answer of the REST API.
INSTANCES = "task_instances"
# Stands for a row of a file that cannot be read; its value says why.
BROKEN = "broken row"

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:(Z)|([+-]\d\d)(?::?(\d\d))?)?", re.ASCII
).fullmatch


def read_airflow(instance: dict[str, Any], admission: Admission) -> TaskRunEvent | None:
    """The event that a task instance states; None for one that ran nothing or is not over. Raises
    FieldError."""
    if BROKEN in instance:
        raise FieldError("row", str(instance[BROKEN]))
    state = _STATES.get(text_of(instance, "state") or "")
    if state is None:
        return None
    dag_id, task_id = required_text(instance, "dag_id"), required_text(instance, "task_id")
    started_at, ended_at = _instant(instance, "start_date"), _instant(instance, "end_date")
    if ended_at is None:
        if instance.get("state") == "upstream_failed":
            return None  # never begun, and no time to put it at
        raise FieldError("end_date", "end_date is missing; a task instance that is over has one")
    if started_at is None:
        started_at = ended_at
    admission.check_times(started_at, ended_at, "start_date", "end_date")
    duration_us = duration_of(instance, "duration") if instance.get("duration") != "" else None
    return TaskRunEvent(
        account=admission.account(admission.default_account or admission.only_account),
        task_run_id=_task_run_id(dag_id, _run_id(instance), task_id, _map_index(instance)),
        state=state,
        started_at=started_at,
        ended_at=ended_at,
        duration_us=ended_at - started_at if duration_us is None else duration_us,
        flow=dag_id[:MAX_LABEL],
        task=task_id[:MAX_LABEL],
        source="airflow",
    )


def _run_id(instance: dict[str, Any]) -> str:
    """The API calls it `dag_run_id`, the table `run_id`."""
    run_id = text_of(instance, "run_id") or text_of(instance, "dag_run_id")
    if not run_id:
        raise FieldError("run_id", "run_id is missing; it names the run of the DAG")
    return run_id


def _map_index(instance: dict[str, Any]) -> str:
    value = value_of(instance, "map_index")
    if value is None or value == "":
        return "-1"  # not mapped
    text = value.text if isinstance(value, Number) else value
    if not isinstance(text, str) or not re.fullmatch(r"-1|\d{1,9}", text, re.ASCII):
        raise FieldError("map_index", f"map_index must be a whole number from -1 on, not {kind_of(value)}")
    return str(int(text))


def _task_run_id(*parts: str) -> str:
    """The four parts, readable where they are short and cannot be mistaken for others; else their SHA-256."""
    plain = "/".join(parts)
    if is_task_run_id(plain) and not any("/" in part for part in parts):
        return plain
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _instant(instance: dict[str, Any], name: str) -> int | None:
    text = text_of(instance, name)
    if not text:
        return None
    found = _INSTANT(text)
    if found is None:
        raise FieldError(name, f"{name} must be a time such as 2026-10-01T00:00:00+00:00")
    day, time, zulu, hours, minutes = found.groups()
    offset = "Z" if zulu or hours is None else f"{hours}:{minutes or '00'}"
    try:
        return parse_instant(f"{day}T{time}{offset}")
    except ValueError as error:
        raise FieldError(name, f"{name} {error}") from None
