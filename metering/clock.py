"""The only place that reads the clock. Everything else takes the time as an argument."""

from __future__ import annotations

from datetime import UTC, datetime

from metering.period import to_instant


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def now_instant() -> int:
    """The current time in microseconds since the epoch."""
    return to_instant(now())
