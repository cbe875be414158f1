"""Addresses of ClickHouse, and the schema that is made there."""

from __future__ import annotations

import pytest

from metering.store.clickhouse.address import Address, parse_address
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.errors import EventsUnavailable, EventsUrlError
from metering.store.clickhouse.schema import ALL, is_current, migrate, statements
from metering.store.clickhouse.store import ClickHouseEventStore
from tests.conftest import NewDatabase
from tests.events import event
from tests.stores import new_address
from tests.world import NOVEMBER_2

CLUSTER = parse_address("clickhouse://ingest:a%2Fb@ch1/meter?cluster=main&quorum=2")


def test_the_schema_is_made_once_and_known(clickhouse_server: str) -> None:
    address = new_address(clickhouse_server)
    clickhouse = Connection(address)
    assert is_current(clickhouse)
    migrate(address)
    assert clickhouse.rows("SELECT count() FROM meter_migrations") == [(len(ALL),)]
    clickhouse.tell("TRUNCATE TABLE meter_migrations")
    assert not is_current(clickhouse)
    clickhouse.tell("DROP TABLE meter_migrations")
    assert not is_current(clickhouse)


def test_what_a_cluster_is_told_is_sql_that_clickhouse_reads(address: Address) -> None:
    """No cluster can be had here: its statements are parsed by the real engine, and not run."""
    clickhouse = Connection(address)
    for migration in ALL:
        for statement in statements(migration, CLUSTER):
            assert "{cluster}" not in statement
            read = clickhouse.rows("SELECT formatQuery({told:String})", told=statement)
            assert "ON CLUSTER main" in read[0][0]


def test_a_server_that_is_not_there_is_said_to_be_so(sqlite_databases: NewDatabase) -> None:
    store = ClickHouseEventStore(sqlite_databases(), parse_address("clickhouse://u:secret@127.0.0.1:1/d"))
    for ask in (lambda: store.usage("acme", 0, 0), lambda: store.append([event()], NOVEMBER_2)):
        with pytest.raises(EventsUnavailable, match="check BILLING_EVENTS_URL") as refused:
            ask()
        assert "secret" not in str(refused.value)
    assert store.cutoff().position == 0


def test_addresses() -> None:
    plain = parse_address("clickhouse://localhost")
    assert plain == Address("localhost", 8123, "default", "", "default", False, "", "auto")
    assert Address("ch1", 8123, "ingest", "a/b", "meter", False, "main", "2") == CLUSTER
    assert CLUSTER.place == "clickhouse://ch1:8123/meter"
    assert parse_address("clickhouse://h:9/x?secure=yes").port == 9


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql://h/d",
        "clickhouse://",
        "clickhouse://u:secret@h:port/d",
        "clickhouse://u:secret@h/a b",
        "clickhouse://u:secret@h/d?replicas=2",
        "clickhouse://u:secret@h/d?quorum=0",
        "clickhouse://u:secret@h/d?cluster=a'b",
        "clickhouse://u:secret@h/d?secure=maybe",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(EventsUrlError, match="BILLING_EVENTS_URL") as refused:
        parse_address(url)
    assert "secret" not in str(refused.value)
