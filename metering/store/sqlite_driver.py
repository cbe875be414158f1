"""The statements of the hot path on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import sqlalchemy as sa

from metering.store.batch import Batch, Integers
from metering.store.counts import Changes, by_day, by_hour, by_month
from metering.store.driver import CorrectionRow, Held, RevisionRow, RunKey, RunRow

_NOTED = "the held runs that statements of a connection met"


class _Noted:
    """Account, key and fingerprint of held runs."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, bytes, int]] = []

    def note(self, account_id: int, key: bytes, fingerprint: int) -> bool:
        self.rows.append((account_id, key, fingerprint))
        return False


class SqliteDriver:
    """Multi-row VALUES. The transaction began IMMEDIATE, so this process is the only writer."""

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()
        # Once a connection: a function that is added makes SQLite prepare every statement anew.
        if _NOTED not in connection.info:
            connection.info[_NOTED] = _Noted()
            raw.create_function("note_held", 3, connection.info[_NOTED].note)
        self._noted: _Noted = connection.info[_NOTED]

    def close(self) -> None:
        """Its last statement is forgotten: SQLite keeps a connection open for as long as there is one, and an
        error that was raised in here may be held for long."""
        self._cursor.close()

    def together(self) -> AbstractContextManager[object]:
        return nullcontext()

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        found: dict[tuple[Any, ...], int] = {}
        names, one = ",".join(columns), "(" + ",".join("?" * len(columns)) + ")"
        match = " AND ".join(f"t.{name} = k.column{place}" for place, name in enumerate(columns, 1))
        for start, end in _parts(len(rows)):
            values, parameters = ",".join([one] * (end - start)), list(chain.from_iterable(rows[start:end]))
            self._cursor.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES {values}", parameters)  # noqa: S608
            self._cursor.execute(
                f"SELECT k.*, t.id FROM (VALUES {values}) AS k CROSS JOIN {table} AS t ON {match}",  # noqa: S608
                parameters,
            )
            found.update((row[:-1], row[-1]) for row in self._cursor.fetchall())
        return found

    def next_position(self) -> int:
        self._cursor.execute("SELECT coalesce(max(position), 0) + 1 FROM meter_commits")
        return int(self._cursor.fetchone()[0])

    def insert_runs(self, batch: Batch, leads: Integers, position: int) -> Held:
        # ?1 is the position, the same in every row; a plain ? takes the next number.
        one, width = "(?,?,?,?1,?,?,0,?,?,?)", 8
        columns = (batch.fingerprint, batch.ended_at, batch.duration_us, batch.label_id, batch.outcome)
        keys = [batch.keys[place] for place in leads.tolist()]
        values: list[Any] = [None] * (width * len(keys))
        for number, column in enumerate((*columns, batch.bucket, batch.account_id)):
            values[number::width] = column[leads].tolist()
        values[width - 1 :: width] = keys
        self._noted.rows.clear()
        for start, end in _parts(len(keys)):
            rows = one.replace("?", "?2", 1) + ("," + one) * (end - start - 1)
            self._cursor.execute(
                f"INSERT INTO task_runs VALUES {rows} {_NOTE_HELD}",  # noqa: S608
                [position, *values[start * width : end * width]],
            )
        noted = self._noted.rows
        if not noted:
            return Held([], [])
        asked = zip(values[width - 2 :: width], keys, strict=True)
        places = dict(zip(asked, leads.tolist(), strict=True))
        return Held([places[account, key] for account, key, _ in noted], [each[2] for each in noted])

    def held_runs(self, keys: Sequence[RunKey]) -> Iterable[RunRow]:
        return (RunRow(*row) for row in self._where_key("task_runs", keys))  # nobody else writes

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]:
        return (RevisionRow(*row) for row in self._where_key("task_run_revisions", keys))

    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None:
        self._many("INSERT INTO task_run_revisions VALUES ", rows)
        self._mark_revised(rows)

    def corrections(self, keys: Sequence[RunKey]) -> Iterable[CorrectionRow]:
        return (CorrectionRow(*row) for row in self._where_key("task_run_corrections", keys))

    def insert_corrections(self, rows: Sequence[CorrectionRow]) -> None:
        self._many("INSERT INTO task_run_corrections VALUES ", rows)
        self._mark_revised(rows)

    def _mark_revised(self, rows: Sequence[RevisionRow] | Sequence[CorrectionRow]) -> None:
        self._cursor.executemany(
            "UPDATE task_runs SET revised = 1 WHERE bucket = ? AND account_id = ? AND run_key = ?",
            [(row.bucket, row.account_id, row.run_key) for row in rows],
        )

    def count(self, changes: Changes, position: int) -> None:
        self._many("INSERT INTO usage_hours VALUES ", _rows(by_hour(changes)), _ADD)
        self._many("INSERT INTO usage_days VALUES ", _rows(by_day(changes)), _ADD)
        add = (
            " ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity,"
            " position = max(position, excluded.position)"
        )
        rows = [(quantity, position, *key) for quantity, *key in _rows(by_month(changes))]
        self._many("INSERT INTO usage_months VALUES ", rows, add)

    def note_buckets(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._many("INSERT OR IGNORE INTO run_buckets VALUES ", pairs)

    def record_commit(self, position: int, now: int) -> None:
        self._cursor.execute("INSERT INTO meter_commits VALUES (?, ?)", (position, now))

    def _many(self, head: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> None:
        for start, end in _parts(len(rows)):
            one = "(" + ",".join("?" * len(rows[0])) + ")"
            given = list(chain.from_iterable(rows[start:end]))
            self._cursor.execute(head + ",".join([one] * (end - start)) + tail, given)

    def _where_key(self, table: str, keys: Sequence[RunKey]) -> Iterable[tuple[Any, ...]]:
        for start, end in _parts(len(keys)):
            wanted = ",".join(["(?,?,?)"] * (end - start))
            self._cursor.execute(
                # The keys lead, in a cross join: asked by `IN (VALUES …)`, SQLite reads the whole table.
                f"SELECT t.* FROM (VALUES {wanted}) AS k CROSS JOIN {table} AS t ON {_ON_KEY}",  # noqa: S608
                list(chain.from_iterable(keys[start:end])),
            )
            yield from self._cursor.fetchall()


_ADD = " ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity"
_ON_KEY = "t.bucket = k.column1 AND t.account_id = k.column2 AND t.run_key = k.column3"
# A held run is told to us by the statement that meets it, and left as it is. To ask for all keys again would
# take as long as inserting them; to be answered those inserted, the interpreter's lock for each.
_NOTE_HELD = (
    "ON CONFLICT DO UPDATE SET revised = task_runs.revised"
    " WHERE note_held(excluded.account_id, excluded.run_key, task_runs.fingerprint)"
)


def _parts(quantity: int) -> Iterator[tuple[int, int]]:
    """Cuts into powers of two: the statements of so many rows are few, and stay prepared."""
    start, size = 0, _PART
    while start < quantity:
        while start + size > quantity:
            size //= 2
        yield start, start + size
        start += size


_PART = 1024


def _rows(columns: Iterable[Integers]) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))
