"""Events as senders write them, for the tests of the wire formats."""

from __future__ import annotations

import json
from typing import Any

from metering.event import TaskRunEvent
from metering.period import parse_instant
from metering.sources import Admission, Decoded, Format, Framing, decode

NOW = parse_instant("2026-10-03T12:00:00Z")
ADMISSION = Admission(now=NOW)
ABSENT = object()


def native(**changes: Any) -> dict[str, Any]:
    """A billable event in the native format; a change to ABSENT leaves the field out."""
    event = {
        "account": "acme",
        "task_run_id": "0192d3a4-5b6c-7d8e-9f00-112233445566",
        "state": "COMPLETED",
        "started_at": "2026-10-03T02:00:00Z",
        "ended_at": "2026-10-03T02:00:04.25Z",
        "duration": "4.25",
        "workspace": "prod",
        "flow": "nightly-etl",
        "flow_run_id": "fr-1",
        "task": "load",
        "source": "prefect",
    } | changes
    return {name: value for name, value in event.items() if value is not ABSENT}


def read(
    body: Any, format: Format = "task-run", framing: Framing = "json", admission: Admission = ADMISSION
) -> Decoded:
    """Decode a body, given as bytes or as the value to write as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(data, format=format, framing=framing, admission=admission)


def one(body: Any, format: Format = "task-run", admission: Admission = ADMISSION) -> TaskRunEvent:
    """The one event of a body that holds nothing else."""
    decoded = read(body, format, admission=admission)
    assert decoded.rejected == []
    assert (decoded.received, decoded.ignored) == (1, 0)
    return decoded.events[0]


def refusal(body: Any, format: Format = "task-run", admission: Admission = ADMISSION) -> tuple[str, str]:
    """Field and message of the one rejection of a body that holds nothing else."""
    decoded = read(body, format, admission=admission)
    assert (decoded.received, decoded.events, decoded.ignored) == (1, [], 0)
    return decoded.rejected[0].field, decoded.rejected[0].message
