"""What two of the demo's customers agreed on, and what arrives late: synthetic, and the same every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

from metering.period import DAY_US, SECOND_US, Month, format_instant

# A contract of committed runs that the month's usage exceeds.
CONTRACT = "halden-pilot"
UNDER_CONTRACT = "halden-health"
COMMITTED_RUNS = 25_000

# A program takes half off.
IN_PROGRAM = "brightwater-labs"
PROGRAM = "academia"
PERCENT = "50"

# Whose source was away on the month's last day.
LATE = "northwind-analytics"
LATE_RUNS = 1_200


def year_later(month: Month) -> date:
    return date(month.year + 1, month.number, 1)


def contract_file(month: Month) -> str:
    """The text of the contract's file: a year from the month on."""
    return json.dumps(
        {
            "id": CONTRACT,
            "account": UNDER_CONTRACT,
            "start": f"{month}-01",
            "end": year_later(month).isoformat(),
            "plan": "standard@2021-02",
            "currency": "USD",
            "instalments": "quarterly",
            "grants": [{"id": "g1", "runs": COMMITTED_RUNS, "price": "60.00"}],
            "services": [{"description": "Onboarding", "price": "250.00", "due_on": f"{month}-01"}],
        },
        indent=1,
    )


def late_events(month: Month) -> Iterator[bytes]:
    """Successes of the month's last day, one a line."""
    begin = month.end - DAY_US
    for number in range(LATE_RUNS):
        ended = begin + number * 60 * SECOND_US
        event = {
            "account": LATE,
            "task_run_id": f"late-{number:05d}",
            "state": "COMPLETED",
            "started_at": format_instant(ended - 5 * SECOND_US),
            "ended_at": format_instant(ended),
            "workspace": "prod",
            "flow": "hourly-clickstream",
        }
        yield (json.dumps(event) + "\n").encode()
