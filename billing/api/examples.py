"""The examples in the description."""

from __future__ import annotations

from typing import Any

EVENT: dict[str, Any] = {
    "account": "acme",
    "task_run_id": "0192d3a4-5b6c-7d8e-9f00-112233445566",
    "state": "COMPLETED",
    "started_at": "2026-10-03T02:00:00Z",
    "ended_at": "2026-10-03T02:00:04.25Z",
    "duration": "4.25",
    "workspace": "prod",
    "flow": "nightly-etl",
}

CLOUDEVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/prefect/prod",
    "type": "com.prefect.task-run.finished",
    "subject": "acme",
    "data": {name: value for name, value in EVENT.items() if name != "account"},
}

PREFECT: dict[str, Any] = {
    "event": "prefect.task-run.Completed",
    "occurred": "2026-10-03T02:00:04.25Z",
    "resource": {
        "prefect.resource.id": "prefect.task-run.0192d3a4-5b6c-7d8e-9f00-112233445566",
        "prefect.state-name": "Completed",
        "prefect.state-type": "COMPLETED",
    },
    "payload": {
        "task_run": {
            "start_time": "2026-10-03T02:00:00Z",
            "end_time": "2026-10-03T02:00:04.25Z",
            "total_run_time": 4.25,
        }
    },
}

INGESTED: dict[str, Any] = {
    "received": 2,
    "accepted": 1,
    "duplicate": 0,
    "ignored": 0,
    "rejected": 1,
    "errors": [
        {"index": 1, "field": "task_run_id", "message": "task_run_id is missing; every event needs it"}
    ],
}

PLAN: dict[str, Any] = {
    "plan": "starter",
    "version": "2021-02",
    "effective_from": "2021-02-01",
    "currency": "USD",
    "soft_limit": None,
    "brackets": [
        {"up_to": 10_000, "unit_price": "0"},
        {"up_to": 100_000, "unit_price": "0.0025"},
        {"up_to": None, "unit_price": "0.00125"},
    ],
}

CONTRACT: dict[str, Any] = {
    "id": "acme-2027",
    "account": "acme",
    "start": "2027-01-01",
    "end": "2028-01-01",
    "plan": "standard@2021-02",
    "currency": "USD",
    "instalments": "quarterly",
    "grants": [
        {
            "id": "g1",
            "runs": 1_000_000,
            "price": "900.00",
            "granted_on": "2027-01-01",
            "expires_on": "2028-01-01",
        }
    ],
    "services": [{"description": "Onboarding", "price": "1500.00", "due_on": "2027-01-01"}],
}

_LINEAGE = {
    "run": {"runId": "0192d3a4-5b6c-7d8e-9f00-112233445566"},
    "job": {"namespace": "prod", "name": "nightly-etl.load"},
    "producer": "https://example.com/etl",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
}
OPENLINEAGE = [
    _LINEAGE | {"eventType": "START", "eventTime": "2026-10-03T02:00:00Z"},
    _LINEAGE | {"eventType": "COMPLETE", "eventTime": "2026-10-03T02:00:04.25Z"},
]
