"""Meters a function of yours: each call of it is a task run.

BILLING_URL=http://127.0.0.1:8000 BILLING_KEY=bk_ingest_… python examples/plain_python.py
"""

from __future__ import annotations

import functools
import logging
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from metering.client import Client, ClientError

P = ParamSpec("P")
R = TypeVar("R")


def metered(client: Client, *, account: str, flow: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator. A call that returns is a completion, one that raises a failure; to meter it never breaks
    it."""

    def of(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            started_at, began = datetime.now(UTC), time.monotonic_ns()
            state = "FAILED"
            try:
                result = function(*args, **kwargs)
                state = "COMPLETED"
                return result
            finally:
                # Clocks are set back at times; durations are measured by one that is not.
                duration = timedelta(microseconds=(time.monotonic_ns() - began) // 1000)
                run = {
                    "account": account,
                    "task_run_id": uuid.uuid4(),
                    "state": state,
                    "started_at": started_at,
                    "ended_at": started_at + duration,
                    "duration": duration,
                    "flow": flow,
                    "task": function.__qualname__,
                    "source": "python",
                }
                try:
                    client.send(run)
                except ClientError:
                    logging.exception("a run of %s is not metered", function.__qualname__)

        return call

    return of


if __name__ == "__main__":
    with Client(os.environ["BILLING_URL"], os.environ["BILLING_KEY"], spool="billing-spool") as billing:

        @metered(billing, account="acme", flow="example")
        def nap() -> str:
            time.sleep(1.1)
            return "slept"

        nap()
    print(billing.tally)
