"""An event as a line of JSON, in the native format (docs/events.md). What the service would reject in every
case is refused here, where the mistake was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from metering.client.errors import EventError

MAX_EVENT_BYTES = 64 << 10
REQUIRED = ("account", "task_run_id", "state", "started_at", "ended_at")


def encode(event: Mapping[str, object], account: str | None = None) -> bytes:
    """A line that ends in a newline. `account` is that of an event which names none. Times may be `datetime`s
    with a zone, durations `timedelta`s or decimals, ids UUIDs. Raises EventError."""
    fields = {name: _plain(name, value) for name, value in event.items() if value is not None}
    if account is not None:
        fields.setdefault("account", account)
    for name in REQUIRED:
        if name not in fields:
            raise EventError(f"{name} is missing; every event needs it")
    try:
        line = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise EventError(f"the event cannot be written as JSON ({error}); give texts and numbers") from None
    if len(line) > MAX_EVENT_BYTES:
        raise EventError(
            f"the event is larger than {MAX_EVENT_BYTES >> 10} KiB; leave out what is not metered"
        )
    return line


def _plain(name: str, value: object) -> object:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise EventError(f"{name} has no time zone; give it one, as datetime.now(UTC) has")
        return value.isoformat()
    if isinstance(value, timedelta):
        # Not divided: some subclasses (pendulum's) divide in ways of their own.
        microseconds = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
        return f"{Decimal(microseconds).scaleb(-6):f}"
    return str(value) if isinstance(value, Decimal | UUID) else value
