"""A listener for Airflow: each task instance is metered by the process that runs it.

Put this file into Airflow's `plugins` folder, install this package beside Airflow with `pip install
--no-deps`, and set BILLING_URL, BILLING_KEY, BILLING_ACCOUNT and BILLING_SPOOL (a folder on a local disk) for
the workers. The ids are those of `billing ingest --format airflow`: what an export has as well counts once.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from metering.client import Client, ClientError


@functools.cache
def client() -> Client:
    settings = os.environ
    return Client(
        settings["BILLING_URL"],
        settings["BILLING_KEY"],
        spool=settings["BILLING_SPOOL"],
        account=settings["BILLING_ACCOUNT"],
    )


def task_run_id(instance: Any) -> str:
    """A task instance is one task run, however often it is tried or cleared."""
    map_index = -1 if instance.map_index is None else instance.map_index
    parts = (instance.dag_id, instance.run_id, instance.task_id, str(map_index))
    plain = "/".join(parts)
    if len(plain) <= 128 and " " not in plain and plain.isprintable() and plain.count("/") == 3:
        return plain
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def meter(instance: Any, state: str) -> None:
    """To meter a task never breaks it."""
    ended_at = instance.end_date or datetime.now(UTC)
    event = {
        "task_run_id": task_run_id(instance),
        "state": state,
        "started_at": instance.start_date or ended_at,
        "ended_at": ended_at,
        "flow": instance.dag_id[:200],
        "task": instance.task_id[:200],
        "source": "airflow",
    }
    try:
        client().send(event)
    except (ClientError, KeyError, ValueError):
        logging.getLogger(__name__).exception("task instance %s is not metered", event["task_run_id"])


@hookimpl
def on_task_instance_success(task_instance: Any) -> None:
    meter(task_instance, "COMPLETED")


@hookimpl
def on_task_instance_failed(task_instance: Any) -> None:
    meter(task_instance, "FAILED")  # a later try that succeeds is what counts


class BillingPlugin(AirflowPlugin):
    name = "billing"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow wants it
