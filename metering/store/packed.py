"""Arrays as PostgreSQL reads them in binary, made a column at a time: the driver's own way goes value by
value, which took longer than the server takes to keep the rows."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">I")
# Width in bytes, the type's number in PostgreSQL's catalogue, and the code of Python's arrays.
_INTEGERS: Final = {"smallint": (2, 21, "h"), "int": (4, 23, "i"), "bigint": (8, 20, "q")}
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


def pack(kind: str, values: Sequence[Any]) -> PackedArray:
    """An array of `smallint`, `int`, `bigint`, `bytea` or `text`."""
    if kind in _INTEGERS:
        width, number, code = _INTEGERS[kind]
        return PackedArray(_header(number, len(values)) + _integers(width, code, values))
    if kind == "bytea":
        return PackedArray(_header(_BYTEA, len(values)) + _texts(values))
    assert kind == "text", kind
    return PackedArray(_header(_TEXT, len(values)) + _texts([value.encode() for value in values]))


def pack_rows(kinds: Iterable[str], rows: Sequence[Sequence[Any]]) -> list[PackedArray]:
    """The columns of rows, of which there is at least one, as arrays of these kinds."""
    columns = zip(*rows, strict=True)
    return [pack(kind, column) for kind, column in zip(kinds, columns, strict=True)]


def _header(number: int, quantity: int) -> bytes:
    """Dimensions, no nulls, type, length, and the index of the first."""
    return _HEADER.pack(1, 0, number, quantity, 1) if quantity else _HEADER.pack(0, 0, number, 0, 0)[:12]


def _integers(width: int, code: str, values: Sequence[int]) -> bytes:
    """Each value behind its length, in network order: laid out byte by byte over all values at once."""
    column = array(code, values)
    assert column.itemsize == width
    if sys.byteorder == "little":
        column.byteswap()
    raw, step = column.tobytes(), 4 + width
    packed = bytearray((_LENGTH.pack(width) + bytes(width)) * len(values))
    for place in range(width):
        packed[4 + place :: step] = raw[place::width]
    return bytes(packed)


def _texts(values: Sequence[bytes]) -> bytes:
    lengths = set(map(len, values))
    if len(lengths) == 1:
        return _LENGTH.pack(lengths.pop()).join((b"", *values))
    return b"".join(part for value in values for part in (_LENGTH.pack(len(value)), value))
