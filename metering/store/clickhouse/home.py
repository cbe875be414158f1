"""Where an installation's events are. The SQL database and ClickHouse each hold the same id: money never
meets another installation's events, an empty store, or one that was copied in part."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import sqlalchemy as sa

from metering.database import reading, writing
from metering.store import EventStore
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.schema import HOMES, is_current, migrate
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.clickhouse.tables import homes
from metering.store.tables import commits


class Home(NamedTuple):
    """A row of `meter_homes`."""

    id: str
    place: str
    copied_to: int
    complete: bool
    under_way: str


def home_of(engine: sa.Engine) -> Home | None:
    """Where events are, or are on the way to, if not in this database."""
    with reading(engine) as connection:
        row = connection.execute(sa.select(homes)).one_or_none()
        return Home(*row) if row else None


def settle(engine: sa.Engine, store: EventStore) -> None:
    """Bring ClickHouse to the newest schema, if events are kept there, and make it the home of an
    installation that has no events yet. Those that it has are copied by `copying`."""
    if not isinstance(store, ClickHouseEventStore):
        return
    migrate(store.address)
    with writing(engine) as connection:
        begun = connection.scalar(sa.select(sa.func.count()).select_from(homes))
        if not begun and not connection.scalar(sa.select(commits.c.position).limit(1)):
            _make(connection, store.connection, complete=True)


def move_in(engine: sa.Engine, clickhouse: Connection) -> Home:
    """The home that events are being copied to; made where there is none."""
    if home_of(engine) is None:
        with writing(engine) as connection:
            _make(connection, clickhouse, complete=False)
    found = home_of(engine)
    assert found is not None
    return found


def complaint(engine: sa.Engine, store: EventStore) -> str | None:
    """Why the events of this store are not to be relied on, as a sentence that says what to do."""
    home = home_of(engine)
    if not isinstance(store, ClickHouseEventStore):
        if home is not None and home.complete:
            return f"the events are kept at {home.place}; set BILLING_EVENTS_URL to it"
        return None
    if not is_current(store.connection):
        return "ClickHouse has no schema yet, or an older one; run: billing init"
    if home is None or not home.complete:
        return (
            "the events of this database are not in ClickHouse yet, or not all of them; unset"
            " BILLING_EVENTS_URL and run: billing events copy"
        )
    if not knows(store.connection, home):
        return "BILLING_EVENTS_URL names another installation's events, or none; check it"
    return None


def knows(clickhouse: Connection, home: Home) -> bool:
    """Whether ClickHouse holds the events of this home."""
    return bool(clickhouse.rows(f"SELECT 1 FROM {HOMES} WHERE id = {{id:String}} LIMIT 1", id=home.id))


def _make(connection: sa.Connection, clickhouse: Connection, *, complete: bool) -> None:
    home = Home(uuid.uuid4().hex, clickhouse.address.place, 0, complete, "")
    clickhouse.tell(f"INSERT INTO {HOMES} (id) VALUES ('{home.id}')")
    connection.execute(homes.insert().values(home._asdict()))
