"""Events for tests, written briefly."""

from __future__ import annotations

from metering.event import TaskRunEvent
from metering.period import parse_instant


def event(
    run: str = "run-1",
    *,
    account: str = "acme",
    state: str = "COMPLETED",
    end: str = "2026-10-03T02:00:05Z",
    duration_us: int = 5_000_000,
    workspace: str = "",
    flow: str = "",
    source: str = "",
    task: str = "",
) -> TaskRunEvent:
    """An event that ended at `end` and took five seconds, unless said otherwise."""
    ended = parse_instant(end)
    return TaskRunEvent(
        account, run, state, ended - duration_us, ended, duration_us, workspace, flow, "", task, source
    )


def runs(
    quantity: int,
    *,
    account: str = "acme",
    day: str = "2026-10-03",
    prefix: str = "run",
    state: str = "COMPLETED",
) -> list[TaskRunEvent]:
    """So many task runs of one day, all in one state."""
    return [
        event(f"{prefix}-{number:07d}", account=account, state=state, end=f"{day}T12:00:05Z")
        for number in range(quantity)
    ]
