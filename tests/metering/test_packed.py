"""Arrays packed by us are read by PostgreSQL as what went in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from metering.store.packed import accept_packed_arrays, pack, pack_copy, pack_rows
from tests.conftest import NewDatabase

ARRAYS = [
    ("smallint", [0, 1, -1, 2**15 - 1, -(2**15)]),
    ("int", [0, 1, -1, 2**31 - 1, -(2**31)]),
    ("bigint", [0, 1, -1, 2**63 - 1, -(2**63)]),
    ("bytea", [b"", b"\0", b"0123456789abcdef", b"\xff" * 300]),
    ("bytea", [b"0123456789abcdef", b"fedcba9876543210"]),
    ("bytea", [b"", b""]),
    ("text", ["", "a", "é", "日本", "{1,2}", 'quote"d', "x" * 300]),
    ("text", ["NULL"]),
    ("int", []),
    ("text", []),
]


@pytest.fixture(scope="module")
def cursor(postgres_databases: NewDatabase) -> Any:
    with postgres_databases().connect() as connection:
        raw: Any = connection.connection.driver_connection
        cursor = raw.cursor()
        accept_packed_arrays(cursor)
        yield cursor


@pytest.mark.parametrize(("kind", "values"), ARRAYS)
def test_an_array_comes_back_as_it_went(cursor: Any, kind: str, values: list[Any]) -> None:
    cursor.execute(
        f"SELECT v FROM unnest(%b::{kind}[]) WITH ORDINALITY AS a(v, n) ORDER BY n", [pack(kind, values)]
    )
    assert [row[0] for row in cursor.fetchall()] == values


def test_rows_are_packed_by_column(cursor: Any) -> None:
    rows = [(1, b"a", "x"), (2, b"bc", "")]
    cursor.execute(
        "SELECT * FROM unnest(%b::int[], %b::bytea[], %b::text[])", pack_rows(["int", "bytea", "text"], rows)
    )
    assert cursor.fetchall() == rows


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        pack("smallint", [2**15])


@pytest.mark.parametrize(
    "keys",
    [
        [b"0123456789abcdef", b"\xff\xff\r\n\0\\.PGCOPY\n\xff\n"],
        [b"\0run-1", b"", b"x" * 300, b"\xff\xff"],
    ],
)
def test_rows_are_copied_as_they_are(cursor: Any, keys: list[bytes]) -> None:
    numbers = np.arange(len(keys)) - 1
    given = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(2, -1) if len(keys) == 2 else keys
    cursor.execute("CREATE TEMPORARY TABLE copied (a bigint, b smallint, c int, d bytea)")
    with cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as copy:
        copy.write(pack_copy(["bigint", "smallint", "int"], [numbers << 40, numbers, 7], given))
    cursor.execute("SELECT * FROM copied ORDER BY a")
    assert cursor.fetchall() == [(int(n) << 40, n, 7, key) for n, key in zip(numbers, keys, strict=True)]
    cursor.execute("DROP TABLE copied")
    with pytest.raises(OverflowError):
        pack_copy(["smallint"], [numbers + 2**15], given)


def test_other_cursors_are_left_alone(postgres_databases: NewDatabase) -> None:
    with postgres_databases().connect() as connection:
        accept_packed_arrays(connection.connection.driver_connection.cursor())  # type: ignore[union-attr]
        assert connection.scalar(sa.text("SELECT cardinality(:a)"), {"a": [1, 2]}) == 2
