"""The statements of the hot path on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from metering.store.driver import CountRow, NewRun, RevisionRow, RunKey, RunRow
from metering.store.packed import accept_packed_arrays, pack_rows

# A writer holds this advisory lock, shared, for its transaction; who needs a cutoff takes it alone for an
# instant. So positions follow the order of commits also with several writers.
COMMIT_LOCK = 0x6D657465  # "mete"

_RUN = {
    "account_id": "int",
    "run_key": "bytea",
    "outcome": "smallint",
    "ended_at": "bigint",
    "duration_us": "bigint",
    "label_id": "int",
    "fingerprint": "bigint",
}
_KEY = {"account_id": "int", "run_key": "bytea"}
_REVISION = {
    "account_id": "int",
    "run_key": "bytea",
    "fingerprint": "bigint",
    "position": "bigint",
    "outcome": "smallint",
    "ended_at": "bigint",
    "duration_us": "bigint",
    "label_id": "int",
}
_COUNT = {"account_id": "int", "hour": "int", "label_id": "int", "outcome": "smallint", "quantity": "bigint"}


def _given(columns: Mapping[str, str], ordinality: str = "") -> str:
    """The rows of a parameter for each column, as a table."""
    return f"unnest({', '.join(f'%b::{kind}[]' for kind in columns.values())}){ordinality}"


# Keeps what is new, and answers the places of what was held. The rows are joined to those that were kept
# by hashing them, which costs a fifth of looking each one up.
_INSERT_RUNS = f"""
WITH new AS MATERIALIZED (
    SELECT * FROM {_given(_RUN, " WITH ORDINALITY")} AS new({", ".join(_RUN)}, place)
), kept AS (
    INSERT INTO task_runs
    SELECT account_id, run_key, %b, outcome, ended_at, duration_us, label_id, fingerprint, 0 FROM new
    ON CONFLICT DO NOTHING RETURNING account_id, run_key
)
SELECT place FROM new LEFT JOIN kept USING (account_id, run_key) WHERE kept.account_id IS NULL
"""  # noqa: S608 - of our own names

_ADD_TO_COUNTERS = f"""
INSERT INTO usage_hours SELECT * FROM {_given(_COUNT)} ON CONFLICT (account_id, hour, label_id, outcome)
DO UPDATE SET quantity = usage_hours.quantity + excluded.quantity
"""  # noqa: S608


class PostgresDriver:
    """Arrays through `unnest`, in binary. In key order: writers that meet wait for one another, and cannot
    deadlock, since each takes runs in key order first, those that it revises in key order then, and counters
    in key order after."""

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()
        accept_packed_arrays(self._cursor)
        self._cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (COMMIT_LOCK,))

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        if not rows:
            return {}
        names, given, packed = ",".join(columns), _given(columns), pack_rows(columns.values(), rows)
        self._execute(f"INSERT INTO {table} ({names}) SELECT * FROM {given} ON CONFLICT DO NOTHING", packed)  # noqa: S608
        self._execute(
            f"SELECT {names}, t.id FROM {table} t JOIN {given} AS k({names}) USING ({names})",  # noqa: S608
            packed,
        )
        return {row[:-1]: row[-1] for row in self._cursor.fetchall()}

    def next_position(self) -> int:
        self._cursor.execute("SELECT nextval('meter_positions')")
        return int(self._cursor.fetchone()[0])

    def insert_runs(self, rows: Sequence[NewRun], position: int) -> list[RunRow]:
        packed: list[Any] = pack_rows(_RUN.values(), rows)
        self._execute(_INSERT_RUNS, [*packed, position])
        keys = [rows[place - 1][:2] for (place,) in self._cursor.fetchall()]
        return [RunRow(*row) for row in self._where_key("task_runs", keys)] if keys else []

    def locked(self, rows: Sequence[RunRow]) -> Iterable[RunRow]:
        keys = [row[:2] for row in rows]
        tail = " ORDER BY t.account_id, t.run_key FOR UPDATE OF t"
        return (RunRow(*row) for row in self._where_key("task_runs", keys, tail))

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]:
        return (RevisionRow(*row) for row in self._where_key("task_run_revisions", keys))

    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None:
        self._execute(
            f"INSERT INTO task_run_revisions SELECT * FROM {_given(_REVISION)}",  # noqa: S608
            pack_rows(_REVISION.values(), rows),
        )
        self._execute(
            f"UPDATE task_runs t SET revised = 1 FROM {_given(_KEY)} AS k(account_id, run_key)"  # noqa: S608
            " WHERE t.account_id = k.account_id AND t.run_key = k.run_key",
            pack_rows(_KEY.values(), [row[:2] for row in rows]),
        )

    def add_to_counters(self, rows: Sequence[CountRow]) -> None:
        self._execute(_ADD_TO_COUNTERS, pack_rows(_COUNT.values(), rows))

    def record_commit(self, position: int, now: int) -> None:
        self._cursor.execute("INSERT INTO meter_commits VALUES (%s, %s)", (position, now))

    def _where_key(self, table: str, keys: Sequence[RunKey], tail: str = "") -> Iterable[tuple[Any, ...]]:
        self._execute(
            f"SELECT t.* FROM {table} t JOIN {_given(_KEY)} AS k(account_id, run_key)"  # noqa: S608
            f" USING (account_id, run_key){tail}",
            pack_rows(_KEY.values(), keys),
        )
        for row in self._cursor.fetchall():
            yield (row[0], bytes(row[1]), *row[2:])

    def _execute(self, statement: str, parameters: Sequence[Any]) -> None:
        # Planned each time: a plan that is kept reckons with arrays of ten elements.
        self._cursor.execute(statement, parameters, prepare=False)
