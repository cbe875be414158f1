"""The statements of the hot path on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import psycopg
import sqlalchemy as sa

from metering.store.batch import Batch, Integers
from metering.store.changes import CHANGE
from metering.store.counts import Changes, by_hour_and_label
from metering.store.driver import CorrectionRow, Held, RevisionRow, RunKey, RunRow
from metering.store.packed import (
    accept_packed_arrays,
    pack,
    pack_columns,
    pack_copy,
    pack_keys,
    pack_rows,
)
from metering.store.tables import COMMIT_LOCK

_SAID = {
    "fingerprint": "bigint",
    "ended_at": "bigint",
    "duration_us": "bigint",
    "label_id": "int",
    "outcome": "smallint",
}
_KEY = {"bucket": "int", "account_id": "int", "run_key": "bytea"}
_RUN = _SAID | _KEY
_REVISION = {
    "fingerprint": "bigint",
    "ended_at": "bigint",
    "duration_us": "bigint",
    "position": "bigint",
    "label_id": "int",
    "outcome": "smallint",
} | _KEY
_CORRECTION = {
    "position": "bigint",
    "recorded_at": "bigint",
    "place": "int",
    "action": "smallint",
    "author": "text",
    "reason": "text",
} | _KEY
_BUCKET = {"month": "int", "bucket": "int"}
_ON_KEY = " AND ".join(f"t.{name} = k.{name}" for name in _KEY)


def _given(columns: Mapping[str, str], ordinality: str = "") -> str:
    """The rows of a parameter for each column, as a table."""
    return f"unnest({', '.join(f'%b::{kind}[]' for kind in columns.values())}){ordinality}"


# First the lock, then the position: who holds the lock alone sees no position that is to come.
_NEXT_POSITION = """
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%s) AS done)
SELECT nextval('meter_positions') FROM locked WHERE done IS NOT NULL
"""

# Keeps what is new, and answers the places of what was held. The rows are joined to those that were kept
# by hashing them, which costs a fifth of looking each one up.
_INSERT_RUNS = f"""
WITH new AS MATERIALIZED (
    SELECT * FROM {_given(_RUN, " WITH ORDINALITY")} AS new({", ".join(_RUN)}, place)
), kept AS (
    INSERT INTO task_runs
    SELECT fingerprint, ended_at, duration_us, %b, label_id, outcome, 0, bucket, account_id, run_key FROM new
    ON CONFLICT DO NOTHING RETURNING account_id, run_key
)
SELECT place FROM new LEFT JOIN kept USING (account_id, run_key) WHERE kept.account_id IS NULL
"""  # noqa: S608 - of our own names

# LATERAL and LIMIT have each key looked up by the index: PostgreSQL, which knows nothing of how long the
# arrays are, would else read the whole table now and then.
_FINGERPRINTS = f"""
SELECT place, held.fingerprint FROM {_given(_KEY, " WITH ORDINALITY")} AS k({", ".join(_KEY)}, place)
CROSS JOIN LATERAL (SELECT t.fingerprint FROM task_runs t WHERE {_ON_KEY} LIMIT 1) AS held
"""  # noqa: S608

# The columns of `task_runs`, in their order, but for the key of a run, which is last.
_COPIED = {
    "fingerprint": "bigint",
    "ended_at": "bigint",
    "duration_us": "bigint",
    "position": "bigint",
    "label_id": "int",
    "outcome": "smallint",
    "revised": "smallint",
    "bucket": "int",
    "account_id": "int",
}
_COPY_RUNS = f"COPY task_runs ({', '.join(_COPIED)}, run_key) FROM STDIN (FORMAT binary)"
# Fewer are inserted by a statement, which is one round trip instead of three.
COPIED_FROM = 256

Overtaken = psycopg.errors.UniqueViolation
"""Another writer kept a run of the batch while it was being copied. Of the transaction nothing is left; by a
driver that does not copy it succeeds."""

_PUT_OFF = f"INSERT INTO usage_changes VALUES (%b, {', '.join(f'%b::{kind}[]' for kind in CHANGE.values())})"  # noqa: S608


class PostgresDriver:
    """Arrays through `unnest`, in binary. In key order: writers that meet wait for one another, and cannot
    deadlock, since each takes runs in key order first, those that it revises in key order then, and counters
    in key order after.

    Large batches of runs are copied, which costs half: the runs that are held are looked up first. Raises
    Overtaken where another writer keeps one of the others meanwhile."""

    def __init__(self, connection: sa.Connection, *, copies: bool = True) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor, self._pipeline = raw.cursor(), raw.pipeline
        self._copies = copies
        accept_packed_arrays(self._cursor)

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        """Looked up first, each by the index: what is refused as known would use up a number."""
        names, given = ", ".join(columns), _given(columns)
        same = " AND ".join(f"t.{name} = k.{name}" for name in columns)
        look_up = (
            f"SELECT k.*, known.id FROM {given} AS k({names})"  # noqa: S608
            f" CROSS JOIN LATERAL (SELECT t.id FROM {table} t WHERE {same} LIMIT 1) AS known"
        )
        add = (
            f"INSERT INTO {table} ({names}) SELECT * FROM {given}"  # noqa: S608
            f" ON CONFLICT DO NOTHING RETURNING {names}, id"
        )
        found: dict[tuple[Any, ...], int] = {}
        # Thrice where another writer adds the same names beside us.
        for statement in (look_up, add, look_up):
            missing = [row for row in rows if row not in found] if found else rows
            if missing:
                self._execute(statement, pack_rows(columns.values(), missing))
                found |= {row[:-1]: row[-1] for row in self._cursor.fetchall()}
        return found

    def next_position(self) -> int:
        self._cursor.execute(_NEXT_POSITION, (COMMIT_LOCK,))
        return int(self._cursor.fetchone()[0])

    def together(self) -> AbstractContextManager[object]:
        return self._pipeline()  # type: ignore[no-any-return]

    def insert_runs(self, batch: Batch, leads: Integers, position: int) -> Held:
        if self._copies and len(leads) >= COPIED_FROM:
            return self._copy_runs(batch, leads, position)
        said = (batch.fingerprint, batch.ended_at, batch.duration_us, batch.label_id, batch.outcome)
        numbers = zip(_RUN.values(), (*said, batch.bucket, batch.account_id), strict=False)
        packed: list[Any] = [pack(kind, column[leads]) for kind, column in numbers]
        # The position stands where the statement has it: behind the rows.
        self._execute(_INSERT_RUNS, [*packed, pack_keys(batch, leads), position])
        held = [place - 1 for (place,) in self._cursor.fetchall()]
        return self._held(batch, leads[held]) if held else Held([], [])

    def _copy_runs(self, batch: Batch, leads: Integers, position: int) -> Held:
        held = self._held(batch, leads)
        new = leads[~np.isin(leads, held.places)] if held.places else leads
        if len(new):
            columns: dict[str, Integers | int] = {
                "fingerprint": batch.fingerprint[new],
                "ended_at": batch.ended_at[new],
                "duration_us": batch.duration_us[new],
                "position": position,
                "label_id": batch.label_id[new],
                "outcome": batch.outcome[new],
                "revised": 0,
                "bucket": batch.bucket[new],
                "account_id": batch.account_id[new],
            }
            values = [columns[name] for name in _COPIED]
            keys = [batch.keys[place] for place in new.tolist()] if batch.raw is None else batch.raw[new]
            with self._cursor.copy(_COPY_RUNS) as copy:
                copy.write(pack_copy(_COPIED.values(), values, keys))
        return held

    def _held(self, batch: Batch, places: Integers) -> Held:
        packed = [
            pack("int", batch.bucket[places]),
            pack("int", batch.account_id[places]),
            pack_keys(batch, places),
        ]
        self._execute(_FINGERPRINTS, packed)
        rows = self._cursor.fetchall()
        return Held([int(places[place - 1]) for place, _ in rows], [fingerprint for _, fingerprint in rows])

    def held_runs(self, keys: Sequence[RunKey]) -> Iterable[RunRow]:
        tail = " ORDER BY t.bucket, t.account_id, t.run_key FOR UPDATE OF t"
        return (RunRow(*row) for row in self._where_key("task_runs", keys, tail))

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]:
        return (RevisionRow(*row) for row in self._where_key("task_run_revisions", keys))

    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None:
        self._execute(
            f"INSERT INTO task_run_revisions SELECT * FROM {_given(_REVISION)}",  # noqa: S608
            pack_rows(_REVISION.values(), rows),
        )
        self._mark_revised(rows)

    def corrections(self, keys: Sequence[RunKey]) -> Iterable[CorrectionRow]:
        return (CorrectionRow(*row) for row in self._where_key("task_run_corrections", keys))

    def insert_corrections(self, rows: Sequence[CorrectionRow]) -> None:
        self._execute(
            f"INSERT INTO task_run_corrections SELECT * FROM {_given(_CORRECTION)}",  # noqa: S608
            pack_rows(_CORRECTION.values(), rows),
        )
        self._mark_revised(rows)

    def _mark_revised(self, rows: Sequence[RevisionRow] | Sequence[CorrectionRow]) -> None:
        self._execute(
            f"UPDATE task_runs t SET revised = 1 FROM {_given(_KEY)} AS k({', '.join(_KEY)}) WHERE {_ON_KEY}",  # noqa: S608
            pack_rows(_KEY.values(), [(row.bucket, row.account_id, row.run_key) for row in rows]),
        )

    def count(self, changes: Changes, position: int) -> None:
        self._execute(_PUT_OFF, [position, *pack_columns(CHANGE.values(), by_hour_and_label(changes))])

    def note_buckets(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._execute(
            f"INSERT INTO run_buckets SELECT * FROM {_given(_BUCKET)} ON CONFLICT DO NOTHING",  # noqa: S608
            pack_rows(_BUCKET.values(), pairs),
        )

    def record_commit(self, position: int, now: int) -> None:
        self._cursor.execute("INSERT INTO meter_commits VALUES (%s, %s)", (position, now))

    def _where_key(self, table: str, keys: Sequence[RunKey], tail: str = "") -> Iterable[tuple[Any, ...]]:
        self._execute(
            f"SELECT t.* FROM {table} t JOIN {_given(_KEY)} AS k({', '.join(_KEY)}) ON {_ON_KEY}{tail}",  # noqa: S608
            pack_rows(_KEY.values(), keys),
        )
        for row in self._cursor.fetchall():
            yield (*row[:-1], bytes(row[-1]))

    def _execute(self, statement: str, parameters: Sequence[Any]) -> None:
        # Planned each time: a plan that is kept reckons with arrays of ten elements.
        self._cursor.execute(statement, parameters, prepare=False)
