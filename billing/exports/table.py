"""What an export holds, whatever the format of the file: columns, and rows that come one by one. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Kind(enum.Enum):
    """What a column holds. A value is None where there is none, else of this type: TEXT str; COUNT int;
    NUMBER Decimal, exact and in major units where it is money; INSTANT int (microseconds); DAY date."""

    TEXT = enum.auto()
    COUNT = enum.auto()
    NUMBER = enum.auto()
    INSTANT = enum.auto()
    DAY = enum.auto()


Columns = Mapping[str, Kind]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` are read once, and hold no more in memory than what is read of them at a time."""

    name: str
    columns: Columns
    rows: Iterator[Row]
