"""CSV, as RFC 4180 has it, in UTF-8 with `\\n` at the ends of lines.

A spreadsheet runs a cell that begins like a formula, whoever wrote it: a flow may be called `=HYPERLINK(…)`.
Such a text gets an apostrophe before it, as OWASP advises; numbers are numbers, and stay as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

from billing.exports.table import Kind, Table
from billing.pricing.money import plain
from metering.period import format_instant

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PIECE = 2_000


def csv_lines(table: Table) -> Iterator[bytes]:
    """The file in pieces, a header line first."""
    kinds = list(table.columns.values())
    yield _piece([list(table.columns)])
    while some := list(islice(table.rows, _PIECE)):
        yield _piece([[_cell(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in some])


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet runs.

    >>> harmless("=1+1"), harmless("load"), harmless(" =1")
    ("'=1+1", 'load', "' =1")
    """
    return f"'{text}" if text.lstrip(" ").startswith(_STARTS_FORMULA) else text


def _cell(value: Any, kind: Kind) -> str:
    if value is None:
        return ""
    match kind:
        case Kind.TEXT:
            return harmless(value)
        case Kind.NUMBER:
            assert isinstance(value, Decimal)
            return plain(value)
        case Kind.INSTANT:
            return format_instant(value)
        case Kind.DAY:
            assert isinstance(value, date)
            return value.isoformat()
        case Kind.COUNT:
            return str(value)


def _piece(rows: list[list[str]]) -> bytes:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n").writerows(rows)
    return held.getvalue().encode()
