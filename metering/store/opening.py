"""Opens the event store that the settings name: the database itself, or ClickHouse."""

from __future__ import annotations

import sqlalchemy as sa

from metering.store import EventStore
from metering.store.clickhouse.address import parse_address
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.sql import SqlEventStore


def open_store(engine: sa.Engine, events_url: str | None) -> EventStore:
    """Nothing is connected to yet. Raises EventsUrlError."""
    if not events_url:
        return SqlEventStore(engine)
    return ClickHouseEventStore(engine, parse_address(events_url))
