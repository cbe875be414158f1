"""Arrays as PostgreSQL reads them in binary, made a column at a time: the driver's own way goes value by
value, which took longer than the server takes to keep the rows."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format

from metering.store.batch import Batch, Integers

_HEADER = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">I")
# Width in bytes, and the type's number in PostgreSQL's catalogue.
_INTEGERS: Final = {"smallint": (2, 21), "int": (4, 23), "bigint": (8, 20)}
_BYTEA: Final = 17
_TEXT: Final = 25


class PackedArray:
    """A parameter that is an array already packed; its place in a statement names its type."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed


class _PackedArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> bytes:
        return obj.packed


def accept_packed_arrays(cursor: psycopg.Cursor[Any]) -> None:
    """Let the statements of this cursor take packed arrays."""
    cursor.adapters.register_dumper(PackedArray, _PackedArrayDumper)


def pack(kind: str, values: Sequence[Any] | Integers) -> PackedArray:
    """An array of `smallint`, `int`, `bigint`, `bytea` or `text`."""
    if kind in _INTEGERS:
        width, number = _INTEGERS[kind]
        column = np.asarray(values, dtype=np.int64)
        narrow = column.astype(f">i{width}")
        if (narrow != column).any():
            raise OverflowError(f"a number does not fit into {kind}")
        return PackedArray(_header(number, len(values)) + _with_lengths(narrow.view(np.uint8), width))
    if kind == "bytea":
        return PackedArray(_header(_BYTEA, len(values)) + _texts(list(values)))
    assert kind == "text", kind
    return PackedArray(_header(_TEXT, len(values)) + _texts([value.encode() for value in values]))


def pack_rows(kinds: Iterable[str], rows: Sequence[Sequence[Any]]) -> list[PackedArray]:
    """The columns of rows, of which there is at least one, as arrays of these kinds."""
    return pack_columns(kinds, zip(*rows, strict=True))


def pack_columns(kinds: Iterable[str], columns: Iterable[Sequence[Any] | Integers]) -> list[PackedArray]:
    """Columns as arrays of these kinds."""
    return [pack(kind, column) for kind, column in zip(kinds, columns, strict=True)]


def pack_keys(batch: Batch, places: Integers) -> PackedArray:
    """The keys at some places, as an array of `bytea`."""
    if batch.raw is None:
        return pack("bytea", [batch.keys[place] for place in places.tolist()])
    raw = batch.raw[places]
    return PackedArray(_header(_BYTEA, len(raw)) + _with_lengths(raw.reshape(-1), raw.shape[1]))


def pack_copy(
    kinds: Iterable[str], columns: Iterable[Integers | int], keys: NDArray[np.uint8] | Sequence[bytes]
) -> bytes:
    """Rows as `COPY … (FORMAT binary)` reads them: columns of integers of these kinds, or one integer for all
    rows; then `keys`, a `bytea` a row, as a table of bytes where all are as long."""
    widths = [_INTEGERS[kind][0] for kind in kinds]
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for place, width in enumerate(widths):
        fields += [(f"length {place}", ">i4"), (f"value {place}", f">i{width}")]
    rows = np.empty(len(keys), dtype=fields)
    rows["count"] = len(widths) + 1
    for place, (width, column) in enumerate(zip(widths, columns, strict=True)):
        rows[f"length {place}"] = width
        rows[f"value {place}"] = column
        if (rows[f"value {place}"] != column).any():
            raise OverflowError(f"a number does not fit into {width} bytes")
    if isinstance(keys, np.ndarray):
        key = np.frombuffer(_with_lengths(keys.reshape(-1), keys.shape[1]), dtype=f"V{4 + keys.shape[1]}")
        packed = np.empty(len(keys), dtype=[("row", rows.dtype), ("key", key.dtype)])
        packed["row"], packed["key"] = rows, key
        return _COPY_BEGINS + packed.tobytes() + _COPY_ENDS
    text, width = rows.tobytes(), rows.itemsize
    parts = [
        part
        for place, key in enumerate(keys)
        for part in (text[place * width : (place + 1) * width], _LENGTH.pack(len(key)), key)
    ]
    return b"".join((_COPY_BEGINS, *parts, _COPY_ENDS))


# The signature, no flags, no extension; and a row of -1 columns.
_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS = b"\xff\xff"


def _header(number: int, quantity: int) -> bytes:
    """Dimensions, no nulls, type, length, and the index of the first."""
    return _HEADER.pack(1, 0, number, quantity, 1) if quantity else _HEADER.pack(0, 0, number, 0, 0)[:12]


def _with_lengths(raw: NDArray[np.uint8], width: int) -> bytes:
    """Each value, of so many bytes, behind its length."""
    packed = np.empty((raw.size // width, 4 + width), dtype=np.uint8)
    packed[:, :4] = np.frombuffer(_LENGTH.pack(width), dtype=np.uint8)
    packed[:, 4:] = raw.reshape(-1, width)
    return packed.tobytes()


def _texts(values: Sequence[bytes]) -> bytes:
    lengths = set(map(len, values))
    if len(lengths) == 1:
        return _LENGTH.pack(lengths.pop()).join((b"", *values))
    return b"".join(part for value in values for part in (_LENGTH.pack(len(value)), value))
