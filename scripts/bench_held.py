"""Fills a database with task runs that were held before, some hundred thousand a second: past the service,
in the form in which it keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from bench_load import ACCOUNTS, FLOWS, Ints, Runs, account_name, counts_of, draw

from metering.database import writing
from metering.period import DAY_US, HOUR_US
from metering.store.counts import months_of
from metering.store.packed import accept_packed_arrays, pack_rows
from metering.store.run_key import BUCKET_SHIFT

_CHUNK = 1_000_000
_ROWS = 50_000
_RUN = (
    "bigint", "bigint", "bigint", "bigint", "int", "smallint", "smallint", "int", "int", "bytea",
)  # fmt: skip
_HOUR = ("bigint", "int", "int", "smallint")
_DAY = ("bigint", "int", "int", "int", "smallint")
_MONTH = ("bigint", "bigint", "int", "int", "smallint")
_BUCKET = ("int", "int")


def hold(engine: sa.Engine, quantity: int, seed: int) -> Ints:
    """So many runs that ended before October. Answers them by account number and outcome."""
    held = np.zeros_like(counts_of(draw(0, 1, seed)))
    if not quantity:
        return held
    _name(engine)
    for position, first in enumerate(range(-quantity, 0, _CHUNK), 1):
        runs = draw(first, min(_CHUNK, -first), seed)
        held += counts_of(runs)
        with writing(engine) as connection:
            _insert(connection, "task_runs", _RUN, _rows(runs, position))
            _insert(connection, "usage_hours", _HOUR, _hours(runs), _ADD_HOUR)
            _insert(connection, "usage_days", _DAY, _days(runs), _ADD_DAY)
            _insert(connection, "usage_months", _MONTH, _months(runs, position), _ADD_MONTH)
            _insert(connection, "run_buckets", _BUCKET, _buckets(runs), " ON CONFLICT DO NOTHING")
            connection.execute(sa.text("INSERT INTO meter_commits VALUES (:p, 0)"), {"p": position})
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT setval('meter_positions', :p)"), {"p": position})
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    return held


_ADD_HOUR = (
    " ON CONFLICT (hour, account_id, outcome)"
    " DO UPDATE SET quantity = usage_hours.quantity + excluded.quantity"
)
_ADD_DAY = (
    " ON CONFLICT (day, account_id, label_id, outcome)"
    " DO UPDATE SET quantity = usage_days.quantity + excluded.quantity"
)
_ADD_MONTH = (
    " ON CONFLICT (month, account_id, outcome)"
    " DO UPDATE SET quantity = usage_months.quantity + excluded.quantity, position = excluded.position"
)


def _name(engine: sa.Engine) -> None:
    """Accounts and labels get the numbers that `_rows` uses."""
    labels = [
        {
            "i": _label(account, flow) + 1,
            "a": account + 1,
            "w": "prod" if flow % 2 else "dev",
            "f": f"flow-{flow}",
        }
        for account in range(ACCOUNTS)
        for flow in range(FLOWS)
    ]
    with writing(engine) as connection:
        connection.execute(
            sa.text("INSERT INTO meter_accounts (id, account) VALUES (:i, :a)"),
            [{"i": number + 1, "a": account_name(number)} for number in range(ACCOUNTS)],
        )
        connection.execute(
            sa.text(
                "INSERT INTO meter_labels (id, account_id, workspace, flow, source)"
                " VALUES (:i, :a, :w, :f, 'prefect')"
            ),
            labels,
        )
        if engine.dialect.name == "postgresql":
            for table in ("meter_accounts", "meter_labels"):
                last = f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"
                connection.exec_driver_sql(last)


def _label(account: Any, flow: Any) -> Any:
    return account * FLOWS + flow


def _rows(runs: Runs, position: int) -> list[tuple[Any, ...]]:
    """In the order of their keys."""
    bucket = _bucket(runs)
    order = np.lexsort((runs.low.view(np.uint64), runs.high, runs.account, bucket))
    raw = np.column_stack([runs.high[order].astype(">i8"), runs.low[order].astype(">i8")]).tobytes()
    keys = [raw[at : at + 16] for at in range(0, len(raw), 16)]
    labels = _label(runs.account, runs.flow) + 1
    said = [each[order].tolist() for each in (runs.low, runs.ended_at, runs.duration_us)]
    after = [each[order].tolist() for each in (labels, runs.outcome)]
    where = [each[order].tolist() for each in (bucket, runs.account + 1)]
    return [
        (*before, position, *rest, 0, *place, key)
        for before, rest, place, key in zip(
            zip(*said, strict=True), zip(*after, strict=True), zip(*where, strict=True), keys, strict=True
        )
    ]


def _bucket(runs: Runs) -> Ints:
    return runs.high >> 32 + BUCKET_SHIFT


def _hours(runs: Runs) -> list[tuple[int, ...]]:
    return _counted(runs.ended_at // HOUR_US, runs.account + 1, runs.outcome)


def _days(runs: Runs) -> list[tuple[int, ...]]:
    """Counters of the days, by label and outcome."""
    labels = _label(runs.account, runs.flow) + 1
    return _counted(runs.ended_at // DAY_US, runs.account + 1, labels, runs.outcome)


def _months(runs: Runs, position: int) -> list[tuple[int, ...]]:
    counted = _counted(months_of(runs.ended_at), runs.account + 1, runs.outcome)
    return [(quantity, position, *key) for quantity, *key in counted]


def _buckets(runs: Runs) -> list[tuple[int, ...]]:
    return [key for _, *key in _counted(months_of(runs.ended_at), _bucket(runs))]  # type: ignore[misc]


def _counted(*columns: Ints) -> list[tuple[int, ...]]:
    """How often each row comes, and the row."""
    keys, quantities = np.unique(np.column_stack(columns), axis=0, return_counts=True)
    return [(quantity, *row) for row, quantity in zip(keys.tolist(), quantities.tolist(), strict=True)]


def _insert(
    connection: sa.Connection, table: str, kinds: tuple[str, ...], rows: list[tuple[Any, ...]], tail: str = ""
) -> None:
    raw: Any = connection.connection.driver_connection
    cursor = raw.cursor()
    if connection.dialect.name == "sqlite":
        cursor.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(kinds))}){tail}", rows)
        return
    accept_packed_arrays(cursor)
    given = ",".join(f"%b::{kind}[]" for kind in kinds)
    for at in range(0, len(rows), _ROWS):
        packed = pack_rows(kinds, rows[at : at + _ROWS])
        cursor.execute(f"INSERT INTO {table} SELECT * FROM unnest({given}){tail}", packed, prepare=False)
