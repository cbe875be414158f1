"""Columns as blocks of ClickHouse's Native format: no row is written by itself.

https://clickhouse.com/docs/en/interfaces/formats/Native: counts as LEB128, then each column with its name,
its type and its values; integers little-endian, texts with their length before them. Names repeat, and are
sent as a dictionary and places in it (LowCardinality), whatever the column is in the table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metering.store.clickhouse.statements import Names, Statements, keys_of
from metering.store.run_key import UUID_BYTES

COLUMNS = (*(name for name in Statements._fields if name != "fingerprint"), "position")
MARK_COLUMNS = ("run_second", "fingerprint", "key_tail", "position")

ACCOUNT_STRUCTURE = "account String"
NUMBERED_STRUCTURE = "account String, number Int64"
KEY_STRUCTURE = "run_key String"
RUN_STRUCTURE = "account String, run_key String"
MARK_STRUCTURE = "run_second UInt32, fingerprint Int64"

# Keys are of one version, there are further keys, and they are all there is.
_DICTIONARY = struct.Struct("<QQQ")
_VERSION, _OWN_KEYS = 1, 1 << 9 | 1 << 10
_PLACES = ((1 << 8, "<u1"), (1 << 16, "<u2"), (1 << 32, "<u4"))


Positions = Sequence[int] | NDArray[Any]


class Column(NamedTuple):
    name: str
    kind: str
    values: bytes


def insert_block(statements: Statements, positions: Positions) -> bytes:
    """A block for the columns COLUMNS. Positions are by row, like the rest."""
    return _block(
        statements.rows,
        _names("account", statements.account),
        Column("run_key", "String", _keys(statements.run_key)),
        Column("outcome", "UInt8", statements.outcome.tobytes()),
        Column("ended_at", "Int64", _integers(statements.ended_at)),
        Column("duration_us", "Int64", _integers(statements.duration_us)),
        _names("workspace", statements.workspace),
        _names("flow", statements.flow),
        _names("source", statements.source),
        _positions(positions),
    )


def mark_block(statements: Statements, positions: Positions) -> bytes:
    """A block for the columns MARK_COLUMNS."""
    tails = Column("key_tail", "UInt32", statements.key_tails().astype("<u4").tobytes())
    return _block(statements.rows, *_marks(statements), tails, _positions(positions))


def marks_asked(statements: Statements) -> bytes:
    """A block of what is looked for."""
    return _block(statements.rows, *_marks(statements))


def account_block(accounts: Sequence[str]) -> bytes:
    """A block of accounts."""
    return _block(len(accounts), _names("account", Names.of(accounts)))


def numbered_block(accounts: Sequence[str], numbers: Sequence[int]) -> bytes:
    """A block of accounts, each with a number."""
    number = Column("number", "Int64", _integers(np.asarray(numbers, dtype=np.int64)))
    return _block(len(accounts), _names("account", Names.of(accounts)), number)


def key_block(keys: NDArray[Any]) -> bytes:
    """A block of keys."""
    return _block(len(keys), Column("run_key", "String", _keys(keys)))


def run_block(runs: Sequence[tuple[str, bytes]]) -> bytes:
    """A block of accounts and keys."""
    keys = keys_of([key for _, key in runs])
    names = Names.of([account for account, _ in runs])
    return _block(len(runs), _names("account", names), Column("run_key", "String", _keys(keys)))


def _marks(statements: Statements) -> tuple[Column, Column]:
    return (
        Column("run_second", "UInt32", statements.run_seconds().astype("<u4").tobytes()),
        Column("fingerprint", "Int64", _integers(statements.fingerprint)),
    )


def _positions(positions: Positions) -> Column:
    return Column("position", "UInt64", np.asarray(positions, dtype="<u8").tobytes())


def _block(rows: int, *columns: Column) -> bytes:
    parts = [_leb128(len(columns)), _leb128(rows)]
    for name, kind, values in columns:
        parts += (_sized(name.encode()), _sized(kind.encode()), values)
    return b"".join(parts)


def _names(name: str, names: Names) -> Column:
    """Only the names that occur are sent."""
    used, places = np.unique(names.places, return_inverse=True)
    kind, form = next((kind, form) for kind, (limit, form) in enumerate(_PLACES) if len(used) <= limit)
    keys = b"".join(_sized(names.texts[place].encode()) for place in used.tolist())
    values = b"".join(
        (
            _DICTIONARY.pack(_VERSION, _OWN_KEYS | kind, len(used)),
            keys,
            struct.pack("<Q", len(places)),
            places.astype(form).tobytes(),
        )
    )
    return Column(name, "LowCardinality(String)", values if len(places) else b"")


def _keys(keys: NDArray[Any]) -> bytes:
    if keys.dtype == object:
        return b"".join(map(_sized, keys.tolist()))
    table = np.full((len(keys), 1 + UUID_BYTES), UUID_BYTES, dtype=np.uint8)
    table[:, 1:] = keys.view(np.uint8).reshape(-1, UUID_BYTES)
    return table.tobytes()


def _integers(values: NDArray[Any]) -> bytes:
    return values.astype("<i8", copy=False).tobytes()


def _sized(value: bytes) -> bytes:
    return _leb128(len(value)) + value


def _leb128(number: int) -> bytes:
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = [bytes([number]) for number in range(128)]
