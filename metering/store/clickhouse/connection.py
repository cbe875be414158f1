"""The client of ClickHouse, and what is asked of every insert: that it is on disk when it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metering.store.clickhouse.address import Address, EventsUrlError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# How long a query may take before the client gives up, in seconds.
_PATIENCE = 600

# What ClickHouse answers when it has no such table or database.
UNKNOWN = (60, 81)


def connect(address: Address, *, database: bool = True) -> Client:
    """A client that several threads may use. Raises EventsUrlError if the library is missing, and what it
    raises itself (`clickhouse_connect.driver.exceptions.Error`)."""
    try:
        import clickhouse_connect
    except ModuleNotFoundError:
        raise EventsUrlError(
            "events in ClickHouse need its client; install it: pip install 'success-billing[clickhouse]'"
        ) from None
    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        username=address.user,
        password=address.password,
        database=address.database if database else None,
        interface="https" if address.secure else "http",
        send_receive_timeout=_PATIENCE,
        # A session would allow one query at a time.
        autogenerate_session_id=False,
        client_name="success-billing",
    )


def insert_settings(address: Address, position: int) -> Mapping[str, Any]:
    """An insert is on disk when it is answered: it does not wait in memory for others, nor on the way to its
    shard, and most replicas have it. Sent twice, for example after a lost answer, it is kept once."""
    settings: dict[str, Any] = {
        "async_insert": 0,
        "insert_deduplicate": 1,
        "insert_deduplication_token": str(position),
        # Run ids of any age may come together, and each month of theirs has its own part.
        "max_partitions_per_insert_block": 0,
    }
    if address.cluster:
        settings |= {
            "distributed_foreground_insert": 1,
            "insert_quorum": address.quorum,
            "insert_quorum_parallel": 0,
        }
    return settings


def query_settings(address: Address) -> Mapping[str, Any]:
    """On a cluster a query is answered by a replica that has all that was acknowledged; what is asked of one
    account's runs, also within a question, is asked on the account's own shard."""
    if not address.cluster:
        return {}
    return {
        "select_sequential_consistency": 1,
        "distributed_product_mode": "local",
        "optimize_skip_unused_shards": 1,
    }
