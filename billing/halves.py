"""Halves of runs that wait for their other half, the same for every door."""

from __future__ import annotations

import sqlalchemy as sa

from metering.database import reading
from metering.pairing import state
from metering.pairing.half import Half
from metering.period import DAY_US, format_instant

# An answer is made of so many, the oldest.
MOST = 10_000


def waiting_halves(engine: sa.Engine, account: str | None = None) -> list[Half]:
    """The oldest first."""
    with reading(engine) as connection:
        return state.waiting_halves(connection, account, MOST)


def alone(engine: sa.Engine, now: int) -> tuple[int, int]:
    """How many starts of more than a day ago have no end, and how many ends have no start: those somebody
    should look at. A run that goes on has a start alone, and that is as it should be."""
    with reading(engine) as connection:
        return state.alone(connection, now - DAY_US)


def half_data(half: Half) -> dict[str, object]:
    """As JSON answers have it."""
    return {
        "account": half.account,
        "task_run_id": half.task_run_id,
        "half": "start" if half.is_start else "end",
        "at": format_instant(half.at),
        "workspace": half.workspace,
        "flow": half.flow,
        "source": half.source,
    }
