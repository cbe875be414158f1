"""The formats by name, and the reader of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from metering.event import TaskRunEvent
from metering.pairing.half import Half
from metering.sources.admission import Admission
from metering.sources.airflow import read_airflow
from metering.sources.cloudevents import read_cloudevent
from metering.sources.openlineage import read_openlineage
from metering.sources.prefect import read_prefect
from metering.sources.task_run import read_task_run

KnownFormat = Literal["task-run", "cloudevents", "prefect", "openlineage", "airflow"]
Format = Literal[KnownFormat, "auto"]

# One JSON object to its event, or to half of one; None where it is to be ignored. Raises fields.FieldError.
Reader = Callable[[dict[str, Any], Admission], TaskRunEvent | Half | None]


def reader_of(name: KnownFormat, cloudevent_types: frozenset[str]) -> Reader:
    if name == "cloudevents":
        return partial(read_cloudevent, types=cloudevent_types)
    if name == "airflow":
        return read_airflow
    if name == "openlineage":
        return read_openlineage
    return read_prefect if name == "prefect" else read_task_run
