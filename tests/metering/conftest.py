from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from metering.store.clickhouse.address import Address
from tests.metering.prefect_double import prefect_double
from tests.metering.watched import Watched
from tests.stores import new_address


@pytest.fixture
def watched(engine: sa.Engine) -> Iterator[Watched]:
    with prefect_double() as double:
        yield Watched(engine, double)


@pytest.fixture
def address(clickhouse_server: str) -> Address:
    return new_address(clickhouse_server)
