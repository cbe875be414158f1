from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.billing.api.client import Client, running
from tests.conftest import NewDatabase
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """On each engine."""
    return World(engine)


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """The application on each engine."""
    with running(world) as client:
        yield client


@pytest.fixture
def lite(sqlite_databases: NewDatabase) -> Iterator[Client]:
    """The application on SQLite alone, where storage does not matter."""
    with running(World(sqlite_databases())) as client:
        yield client
