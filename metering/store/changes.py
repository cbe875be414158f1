"""Counts that are put off, on PostgreSQL: what a commit changes in the counters is one row of
`usage_changes`, an array a column; `settle` adds what many commits changed to the counters at once.

A commit that added to the counters itself would touch nearly two rows an event, and hold them against every
other writer until it is on the disk. Many commits together touch less than one, and no writer waits for
another's. Nobody is told too little meanwhile: the row is written with the runs, and who reads the counters
reads it with them (`counted`).
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from metering.database import asking
from metering.store.tables import usage_months

# Of so many events at once: fewer keys an event are touched with more, and nobody is to wait long for it.
SETTLED_FROM = 30_000
# As often as it takes for what was settled to be small beside what was counted.
SWEPT_EVERY = 8

_HOURS_A_DAY = 24
# What a row has for each change. Months are counted since 1970-01, hours since the epoch.
CHANGE: Mapping[str, str] = {
    "quantity": "int",
    "hour": "int",
    "month": "int",
    "account_id": "int",
    "label_id": "int",
    "outcome": "smallint",
}
_TYPES = {"int": sa.Integer(), "smallint": sa.SmallInteger()}
# SQLite, which has one writer, counts at once, and has no such table.
metadata = sa.MetaData()
usage_changes = sa.Table(
    "usage_changes",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, postgresql.ARRAY(_TYPES[kind]), nullable=False) for name, kind in CHANGE.items()),
)


def _each(*names: str) -> str:
    """The changes of all rows `c`, as `e`."""
    return f"unnest({', '.join(f'c.{name}' for name in names)}) AS e({', '.join(names)})"


_SETTLED = {
    "hour": "SELECT quantity, hour, account_id, outcome FROM usage_hours",
    "day": "SELECT quantity, day, account_id, label_id, outcome FROM usage_days",
    "month": "SELECT quantity, position, month, account_id, outcome FROM usage_months",
}
_PUT_OFF = {
    "hour": "SELECT e.quantity::bigint, e.hour, e.account_id, e.outcome"
    f" FROM usage_changes c, {_each('quantity', 'hour', 'account_id', 'outcome')}",
    "day": f"SELECT e.quantity::bigint, e.hour / {_HOURS_A_DAY}, e.account_id, e.label_id, e.outcome"
    f" FROM usage_changes c, {_each('quantity', 'hour', 'account_id', 'label_id', 'outcome')}",
    "month": "SELECT e.quantity::bigint, c.position, e.month, e.account_id, e.outcome"
    f" FROM usage_changes c, {_each('quantity', 'month', 'account_id', 'outcome')}",
}


def _with_changes(unit: str, among: str = "") -> str:
    return f"{_SETTLED[unit]} {among} UNION ALL {_PUT_OFF[unit]}"


# Its columns by name: those of the table are of the same types.
_MONTHS_NOW = (
    sa.text(_with_changes("month"))
    .columns(*(sa.column(each.name, each.type) for each in usage_months.c))
    .subquery("u")
)

CHANGED_MONTHS = f"SELECT min(e.month), max(e.month) FROM usage_changes c, {_each('month')}"
"""The first month that has changes, and the last; NULL without any."""


def counted(dialect: str, unit: str, among: str = "") -> str:
    """For a `FROM`: the counters of this unit as they are now. A key may be there more than once, also with
    less than nothing: whoever reads adds up. `among`, on PostgreSQL, is a `WHERE` for those of the table: how
    they are found, where what was put off is found in another way."""
    return f"({_with_changes(unit, among)})" if dialect == "postgresql" else f"usage_{unit}s"


def counted_months(dialect: str) -> sa.FromClause:
    """The same of months, for a query that is put together."""
    return _MONTHS_NOW if dialect == "postgresql" else usage_months


# Held, alone, by who settles.
SETTLE_LOCK = 0x73657474  # "sett"


def _add(counter: str, key: Mapping[str, str], position: str = "") -> str:
    """Adds the changes of `each` to a counter, whose key is made of theirs so. A change of nothing says that
    a month was changed, which has a position for it."""
    names, made = ", ".join(key), ", ".join(key.values())
    return (
        f"INSERT INTO {counter} SELECT sum(quantity), {'max(position), ' if position else ''}{made} FROM each"
        f" GROUP BY {made} {'' if position else 'HAVING sum(quantity) <> 0 '}ORDER BY {made}"
        f" ON CONFLICT ({names}) DO UPDATE SET quantity = {counter}.quantity + excluded.quantity{position}"
    )


_OF_ACCOUNT = {"account_id": "account_id", "outcome": "outcome"}
_OF_LABEL = {"account_id": "account_id", "label_id": "label_id", "outcome": "outcome"}
_LAST = ", position = greatest(usage_months.position, excluded.position)"
# One statement: nobody sees the changes in both places, or in none.
_SETTLE = f"""
WITH taken AS (DELETE FROM usage_changes RETURNING *),
each AS MATERIALIZED (SELECT c.position, e.* FROM taken c, {_each(*CHANGE)}),
hours AS ({_add("usage_hours", {"hour": "hour"} | _OF_ACCOUNT)}),
days AS ({_add("usage_days", {"day": f"hour / {_HOURS_A_DAY}"} | _OF_LABEL)})
{_add("usage_months", {"month": "month"} | _OF_ACCOUNT, _LAST)}
"""


def settle(connection: sa.Connection) -> bool:
    """Add to the counters whatever was put off; answers whether there was anything. Any number of processes
    may; they take turns."""
    if connection.scalar(sa.select(usage_changes.c.position).limit(1)) is None:
        return False
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SETTLE_LOCK)))
    connection.exec_driver_sql(_SETTLE)
    return True


def sweep(engine: sa.Engine) -> None:
    """Free the places of what was settled. By itself PostgreSQL does so up to a minute later, when there lies
    what was put off of millions of events, and whoever asks reads past it. Nobody waits for it: it gives no
    pages back, for which it would have to be alone, and does nothing where somebody else is at it."""
    with asking(engine) as connection:
        connection.exec_driver_sql("VACUUM (SKIP_LOCKED, TRUNCATE off) usage_changes")
