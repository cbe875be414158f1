"""The way to ClickHouse, and what is asked of every insert: that it is on disk when it returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from metering.store.clickhouse.address import Address
from metering.store.clickhouse.errors import EventsUnavailable, EventsUrlError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from metering.store.clickhouse.native import Columns

# How long a query may take before the client gives up, in seconds.
_PATIENCE = 600

# The name of the table that travels with a question.
GIVEN = "given"

Rows = Sequence[Sequence[Any]]


class Connection:
    """Asks and tells one address; several threads may use it. It connects when it is first used. Raises
    EventsUrlError if the client is not installed, and EventsUnavailable."""

    def __init__(self, address: Address, *, database: bool = True) -> None:
        self.address = address
        self._database = address.database if database else None
        self._client: Client | None = None
        self._connecting = threading.Lock()

    def rows(
        self,
        query: str,
        *,
        binary: Sequence[str] = (),
        given: tuple[str, bytes] | None = None,
        **parameters: Any,
    ) -> Rows:
        """The answer to a query. Columns named in `binary` are bytes; `given` is the structure and the block
        of a table that goes with the question."""
        with _reaching():
            result = self._connected().query(
                query,
                parameters,
                dict(_query_settings(self.address)),
                column_formats=dict.fromkeys(binary, "bytes"),
                external_data=None if given is None else _external(*given),
            )
            rows: Rows = result.result_rows
            return rows

    def stream(self, query: str, *, binary: Sequence[str] = (), **parameters: Any) -> Iterator[Sequence[Any]]:
        """The rows of an answer of any length."""
        with (
            _reaching(),
            self._connected().query_row_block_stream(
                query,
                parameters,
                dict(_query_settings(self.address)),
                column_formats=dict.fromkeys(binary, "bytes"),
            ) as blocks,
        ):
            for block in blocks:
                yield from block

    def columns(self, query: str, *, given: tuple[str, bytes], **parameters: Any) -> Iterator[Columns]:
        """An answer of any length, in columns of fixed width."""
        from metering.store.clickhouse.native import read_blocks

        with _reaching():
            stream: Any = self._connected().raw_stream(
                query,
                parameters,
                dict(_query_settings(self.address)),
                fmt="Native",
                external_data=_external(*given),
            )
            with closing(stream):
                yield from read_blocks(stream)

    def insert(self, table: str, columns: Sequence[str], block: bytes, token: str) -> None:
        """Insert a block of the Native format, once for a token: it may be sent again after a lost answer."""
        with _reaching():
            settings = dict(_insert_settings(self.address, token))
            self._connected().raw_insert(table, columns, block, settings, "Native")

    def tell(self, statement: str) -> None:
        """A statement without an answer."""
        with _reaching():
            self._connected().command(statement)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                self._client = _connect(self.address, self._database)
            return self._client


def _connect(address: Address, database: str | None) -> Client:
    import clickhouse_connect

    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        username=address.user,
        password=address.password,
        database=database,
        interface="https" if address.secure else "http",
        send_receive_timeout=_PATIENCE,
        # A session would allow one query at a time.
        autogenerate_session_id=False,
        client_name="success-billing",
    )


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        from clickhouse_connect.driver.exceptions import Error
    except ModuleNotFoundError:
        raise EventsUrlError(
            "events in ClickHouse need its client; install it: pip install 'success-billing[clickhouse]'"
        ) from None
    try:
        yield
    except Error as error:
        said = " ".join(str(error).split())[:500]
        raise EventsUnavailable(
            f"ClickHouse cannot be used: {said}; check BILLING_EVENTS_URL and the server",
            getattr(error, "code", None),
        ) from error


def _external(structure: str, block: bytes) -> Any:
    from clickhouse_connect.driver.external import ExternalData

    return ExternalData(file_name=GIVEN, data=block, fmt="Native", structure=structure)


def _insert_settings(address: Address, token: str) -> Mapping[str, Any]:
    """An insert is on disk when it is answered: it does not wait in memory for others, nor on the way to its
    shard, and most replicas have it."""
    settings: dict[str, Any] = {
        "async_insert": 0,
        "insert_deduplicate": 1,
        "insert_deduplication_token": token,
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


def _query_settings(address: Address) -> Mapping[str, Any]:
    """On a cluster a query is answered by a replica that has all that was acknowledged; what is asked of one
    account's runs, also within a question, is asked on the account's own shard."""
    if not address.cluster:
        return {}
    return {
        "select_sequential_consistency": 1,
        "distributed_product_mode": "local",
        "optimize_skip_unused_shards": 1,
    }
