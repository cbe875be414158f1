"""A state hook for Prefect: each task run is metered by the process that runs it.

    BILLING_URL=http://127.0.0.1:8000 BILLING_KEY=bk_ingest_… python examples/prefect_hook.py

Prefect wants an older FastAPI than the service: install this package beside it with `pip install --no-deps`.
The hook's task-run ids are Prefect's own, so a run that `billing collect prefect` brings as well counts once.
What no hook is told (a process that was killed, a transaction that was rolled back) only collecting knows.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from metering.client import Client, ClientError


def metered(client: Client, *, account: str, workspace: str = "", flow: str = "") -> Callable[..., None]:
    """A hook for `on_completion` and `on_failure` of a task. To meter a run never breaks it."""

    def hook(task: Any, run: Any, state: Any) -> None:
        ended_at = run.end_time or state.timestamp
        kind = state.type.value
        event = {
            "account": account,
            "task_run_id": run.id,
            "state": "CACHED" if (kind, state.name) == ("COMPLETED", "Cached") else kind,
            "started_at": run.start_time or ended_at,
            "ended_at": ended_at,
            "duration": run.total_run_time,  # sums the attempts of a retried run
            "workspace": workspace,
            "flow": flow,
            "flow_run_id": run.flow_run_id,
            "task": task.name,
            "source": "prefect",
        }
        try:
            client.send(event)
        except ClientError:
            logging.getLogger("metering").exception("task run %s is not metered", run.id)

    return hook


if __name__ == "__main__":
    from prefect import flow, task

    with Client(os.environ["BILLING_URL"], os.environ["BILLING_KEY"], spool="billing-spool") as billing:
        meter = metered(billing, account="acme", flow="example")

        @task(on_completion=[meter], on_failure=[meter])
        def nap() -> None:
            time.sleep(1.1)

        @task(on_completion=[meter], on_failure=[meter])
        def fail() -> None:
            raise ValueError("as it should")

        @flow
        def example() -> None:
            nap()
            fail(return_state=True)

        example()
    print(billing.tally)
