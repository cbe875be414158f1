"""Event stores for the tests, empty, on every engine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from metering.database import make_engine
from metering.store import EventStore
from metering.store.clickhouse.address import Address, parse_address
from metering.store.clickhouse.schema import migrate
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.sql import SqlEventStore

_NUMBERS = itertools.count()


@dataclass
class Stores:
    """Makes empty stores. `server` is a ClickHouse, or None where the SQL database keeps the events."""

    new_engine: Callable[[], sa.Engine]
    server: str | None = None
    _places: dict[int, tuple[sa.Engine, Address | None]] = field(default_factory=dict)

    def new(self) -> EventStore:
        engine = self.new_engine()
        address = None if self.server is None else new_address(self.server)
        store = _store(engine, address)
        self._places[id(store)] = (engine, address)
        return store

    def engine_of(self, store: EventStore) -> sa.Engine:
        """The SQL database beside a store's events, or with them."""
        return self._places[id(store)][0]

    def again(self, store: EventStore) -> EventStore:
        """The same store as another process has it."""
        engine, address = self._places[id(store)]
        return _store(make_engine(engine.url.render_as_string(hide_password=False)), address)


def new_address(server: str) -> Address:
    """An empty database on a ClickHouse, with the current schema."""
    base, question, options = server.partition("?")
    address = parse_address(f"{base}/{new_name()}{question}{options}")
    migrate(address)
    return address


def new_name() -> str:
    """A name that no database has."""
    return f"billing_test_{os.getpid()}_{next(_NUMBERS)}"


def _store(engine: sa.Engine, address: Address | None) -> EventStore:
    return SqlEventStore(engine) if address is None else ClickHouseEventStore(engine, address)
