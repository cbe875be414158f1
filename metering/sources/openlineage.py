"""OpenLineage's run events: a run's start and its end are events of their own, and each is half a statement.

`run.runId` names the task run, `job.namespace` its workspace and `job.name` its flow; the run of
`run.facets.parent`, where there is one, is its flow run. START starts it; COMPLETE, FAIL and ABORT end it;
RUNNING and OTHER say nothing, like events of data sets and jobs. Runs that only hold others are none: a DAG
of Airflow, an application of Spark, an invocation of dbt, by `job.facets.jobType`.
"""

from __future__ import annotations

from typing import Any

from metering.event import MAX_LABEL
from metering.pairing.half import STARTED, Half
from metering.sources.admission import Admission
from metering.sources.fields import (
    check_task_run_id,
    object_of,
    required_instant,
    required_text,
    text_of,
)

_STATES = {"START": STARTED, "COMPLETE": "COMPLETED", "FAIL": "FAILED", "ABORT": "CANCELLED"}
_HOLD_OTHERS = frozenset({("AIRFLOW", "DAG"), ("DBT", "JOB"), ("SPARK", "APPLICATION")})


def read_openlineage(event: dict[str, Any], admission: Admission) -> Half | None:
    """The half of a run that an event states; None where it states none. The account comes from `admission`
    alone. Raises FieldError."""
    state = _STATES.get((text_of(event, "eventType") or "").upper())
    if state is None:
        return None
    run, job = object_of(event, "run"), object_of(event, "job")
    if _holds_others(job):
        return None
    account = admission.account(admission.default_account or admission.only_account)
    at = required_instant(event, "eventTime")
    admission.check_times(at, at, "eventTime", "eventTime")
    return Half(
        account=account,
        task_run_id=check_task_run_id("runId", required_text(run, "runId")),
        state=state,
        at=at,
        workspace=required_text(job, "namespace")[:MAX_LABEL],
        flow=required_text(job, "name")[:MAX_LABEL],
        flow_run_id=_parent(run),
        source="openlineage",
    )


def _holds_others(job: dict[str, Any]) -> bool:
    kind = _inner(_inner(job, "facets"), "jobType")
    named = ((text_of(kind, name) or "").upper() for name in ("integration", "jobType"))
    return tuple(named) in _HOLD_OTHERS


def _parent(run: dict[str, Any]) -> str:
    return (text_of(_inner(_inner(_inner(run, "facets"), "parent"), "run"), "runId") or "")[:MAX_LABEL]


def _inner(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """An object inside another, empty where there is none."""
    return {} if fields.get(name) is None else object_of(fields, name)
