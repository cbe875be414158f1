"""Where to look: the buckets that hold the runs of a period, and the hours and months of the counters."""

from __future__ import annotations

import sqlalchemy as sa

from metering.period import Month
from metering.store.tables import run_buckets

# Accounts that lie between others, and are read with them, though nobody asked.
GAP = 20


def month_number(instant: int) -> int:
    """The month of an instant, counted since January 1970."""
    month = Month.of(instant)
    return (month.year - 1970) * 12 + month.number - 1


def month_numbered(number: int) -> Month:
    """The month of a number."""
    return Month(1970 + number // 12, number % 12 + 1)


def buckets_between(connection: sa.Connection, start: int, end: int) -> list[int]:
    """Every bucket that holds runs which end in `[start, end)`, and maybe some more, in order."""
    if start >= end:
        return []
    column = run_buckets.c.month
    query = sa.select(run_buckets.c.bucket).distinct().order_by(run_buckets.c.bucket)
    return list(connection.scalars(query.where(column.between(month_number(start), month_number(end - 1)))))


def in_numbers(
    connection: sa.Connection, column: sa.ColumnElement[int], numbers: list[int]
) -> sa.ColumnElement[bool]:
    """Whether a column is one of many numbers: one parameter, however many they are."""
    if connection.dialect.name == "postgresql":
        array = sa.bindparam(None, numbers, type_=sa.ARRAY(sa.Integer))
        return column == sa.any_(array)
    return column.in_(numbers)
