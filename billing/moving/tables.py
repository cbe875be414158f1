"""What an installation consists of, and a digest by which two databases are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

import billing.audit_tables
import billing.customer_tables
import billing.notification_tables
import billing.operator_tables
import billing.stripe_tables
import billing.tables
import metering.collecting.tables
import metering.store.clickhouse.tables
import metering.store.tables

_PAGE = 5_000
_BITS = 128

# A new schema has a row of these; it is replaced.
BORN_WITH = frozenset({"audit_end", "stripe_rate"})

_encode = msgspec.msgpack.Encoder().encode


class Content(NamedTuple):
    """Rows of a table, and a digest of them that does not depend on their order: engines order texts in
    different ways."""

    rows: int
    digest: int


class Digest:
    """Adds up the hashes of rows."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows += len(rows)
        for row in rows:
            self._sum += int.from_bytes(blake2b(_encode(row), digest_size=_BITS // 8).digest())

    def content(self) -> Content:
        return Content(self._rows, self._sum % (1 << _BITS))


def tables() -> list[sa.Table]:
    """Every table of both houses, each after those that it refers to."""
    left = billing.tables.moves
    houses = (metering.store.tables.metadata, billing.tables.metadata)
    return [table for house in houses for table in house.sorted_tables if table is not left]


def pages(connection: sa.Connection, table: sa.Table) -> Iterator[list[tuple[Any, ...]]]:
    """All rows, as plain values, some thousand at a time."""
    answer = connection.execute(sa.select(table), execution_options={"yield_per": _PAGE})
    for page in answer.partitions():
        yield [tuple(bytes(each) if isinstance(each, memoryview) else each for each in row) for row in page]


def content(connection: sa.Connection, table: sa.Table) -> Content:
    digest = Digest()
    for page in pages(connection, table):
        digest.add(page)
    return digest.content()


def count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def is_new(connection: sa.Connection) -> bool:
    """Whether a database has nothing but the schema."""
    return not any(count(connection, table) for table in tables() if table.name not in BORN_WITH)
