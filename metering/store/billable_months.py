"""The billable runs of all accounts and months in columns: the database puts them together, so a row costs no
object here."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa

from metering.durations import BillableMonths
from metering.outcome import Outcome
from metering.run_columns import Integers
from metering.store.changes import CHANGED_MONTHS, counted
from metering.store.month_totals import MonthTotals
from metering.store.tables import accounts

_BILLABLE = f"outcome = {int(Outcome.BILLABLE)}"
_SQLITE = (
    "SELECT group_concat(account_id), group_concat(quantity) FROM usage_months"  # noqa: S608 - of our own names
    f" WHERE {_BILLABLE} AND quantity > 0 AND month = ?"
)
_POSTGRES = (
    "SELECT string_agg(int4send(account_id) || int8send(quantity), '') FROM"  # noqa: S608
    f" (SELECT account_id, sum(quantity)::bigint AS quantity FROM {counted('postgresql', 'month')} u"
    f" WHERE {_BILLABLE} AND month = %s GROUP BY account_id HAVING sum(quantity) > 0) now"
)
# Of a month of which nothing is put off, each key is there once: a third of the time.
_POSTGRES_SETTLED = (
    "SELECT string_agg(int4send(account_id) || int8send(quantity), '') FROM usage_months"  # noqa: S608
    f" WHERE {_BILLABLE} AND quantity > 0 AND month = %s"
)
_ROW = np.dtype([("account", ">i4"), ("quantity", ">i8")])


def billable_months(connection: sa.Connection, start: int, end: int) -> BillableMonths:
    """See `EventStore.billable_months`."""
    raw: Any = connection.connection.driver_connection
    months = MonthTotals(connection).held(start, end)
    if connection.dialect.name == "postgresql":
        # In the snapshot of the counters: nothing is settled in between.
        first, last = connection.exec_driver_sql(CHANGED_MONTHS).one()
        put_off = range(0) if first is None else range(first, last + 1)
        parts = [_from_postgres(raw, number, number in put_off) for number in months]
    else:
        parts = [_from_sqlite(raw, number) for number in months]
    quantities = [quantity for _, quantity in parts]
    numbers, places = np.unique(_joined([account for account, _ in parts]), return_inverse=True)
    named = connection.execute(sa.select(accounts.c.id, accounts.c.account)).all()
    names = {row.id: row.account for row in named}
    return BillableMonths(
        [names[number] for number in numbers.tolist()],
        places.astype(np.int64),
        np.repeat(np.array(months, dtype=np.int64), [len(each) for each in quantities]),
        _joined(quantities),
    )


def _from_sqlite(raw: Any, month: int) -> tuple[Integers, Integers]:
    found = raw.execute(_SQLITE, (month,)).fetchone()
    ids, quantities = (np.fromstring(text or "", dtype=np.int64, sep=",") for text in found)
    return ids, quantities


def _from_postgres(raw: Any, month: int, is_put_off: bool) -> tuple[Integers, Integers]:
    with raw.cursor(binary=True) as cursor:
        cursor.execute(_POSTGRES if is_put_off else _POSTGRES_SETTLED, (month,))
        rows = np.frombuffer(cursor.fetchone()[0] or b"", dtype=_ROW)
    return rows["account"].astype(np.int64), rows["quantity"].astype(np.int64)


def _joined(parts: list[Integers]) -> Integers:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
