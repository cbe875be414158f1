"""Parquet, by pyarrow, some thousand rows at a time, numbers exact. Needs the extra `archive`."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from billing.errors import Invalid
from billing.exports.table import Kind, Table

_PIECE = 50_000
# Sixteen places: what a run of a grant costs has as many (`focus`); twenty-two digits before the point.
_PRECISION, _PLACES = 38, 16


def require_pyarrow() -> None:
    """Raises Invalid."""
    if find_spec("pyarrow") is None:
        raise Invalid(
            "parquet needs pyarrow; install it: pip install 'success-billing[archive]', or take csv",
            field="format",
        )


def write_parquet(table: Table, place: Path) -> None:
    """Raises Invalid without pyarrow."""
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        Kind.TEXT: pa.string(),
        Kind.COUNT: pa.int64(),
        Kind.NUMBER: pa.decimal128(_PRECISION, _PLACES),
        Kind.INSTANT: pa.timestamp("us", tz="UTC"),
        Kind.DAY: pa.date32(),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    with pq.ParquetWriter(place, schema, compression="zstd") as writer:
        while True:
            some = list(islice(table.rows, _PIECE))
            columns: list[Any] = (
                [list(column) for column in zip(*some, strict=True)] if some else [[]] * len(schema)
            )
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            if len(some) < _PIECE:
                return
