"""Who sold, and from when on."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa

from billing.customer_tables import sellers
from metering.database import insert_into


def at(connection: sa.Connection, instant: int) -> Mapping[str, str] | None:
    """The one that held at an instant; of a time before any was recorded, the first. None: there is none."""
    before = sa.select(sellers.c.data).where(sellers.c.recorded_at <= instant)
    found = connection.scalar(before.order_by(sellers.c.recorded_at.desc()).limit(1))
    if found is None:
        found = connection.scalar(sa.select(sellers.c.data).order_by(sellers.c.recorded_at).limit(1))
    return None if found is None else json.loads(found)


def add(connection: sa.Connection, recorded_at: int, data: Mapping[str, str]) -> None:
    """From an instant on. Of two at the same instant the first one holds."""
    values = {"recorded_at": recorded_at, "data": json.dumps(dict(data))}
    connection.execute(insert_into(connection, sellers).values(**values).on_conflict_do_nothing())
