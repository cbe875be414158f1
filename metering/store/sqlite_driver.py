"""The statements of the hot path on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa

from metering.store.driver import CountRow, NewRun, RevisionRow, RunKey, RunRow

Row = TypeVar("Row")


class SqliteDriver:
    """Multi-row VALUES. The transaction began IMMEDIATE, so this process is the only writer."""

    _PART = 400

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        found: dict[tuple[Any, ...], int] = {}
        names, one = ",".join(columns), "(" + ",".join("?" * len(columns)) + ")"
        match = " AND ".join(f"t.{name} = k.column{place}" for place, name in enumerate(columns, 1))
        for part in self._parts(rows):
            values, parameters = ",".join([one] * len(part)), list(chain.from_iterable(part))
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

    def insert_runs(self, rows: Sequence[NewRun], position: int) -> list[RunRow]:
        held: list[RunRow] = []
        for part in self._parts(rows):
            # ?1 is the position, the same in every row; a plain ? takes the next number.
            first = "(?2,?,?1,?,?,?,?,?,0)"
            values = ",".join([first] + ["(?,?,?1,?,?,?,?,?,0)"] * (len(part) - 1))
            parameters = [position, *chain.from_iterable(part)]
            self._cursor.execute(f"INSERT OR IGNORE INTO task_runs VALUES {values}", parameters)  # noqa: S608
            if self._cursor.rowcount < len(part):
                keys = [row[:2] for row in part]
                older = self._where_key("task_runs", keys, f" AND position <> {position}")
                held += (RunRow(*row) for row in older)
        return held

    def locked(self, rows: Sequence[RunRow]) -> Iterable[RunRow]:
        return rows  # nobody else writes

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]:
        return (RevisionRow(*row) for row in self._where_key("task_run_revisions", keys))

    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None:
        for part in self._parts(rows):
            self._many("INSERT INTO task_run_revisions VALUES ", part)
            self._cursor.executemany(
                "UPDATE task_runs SET revised = 1 WHERE account_id = ? AND run_key = ?",
                [row[:2] for row in part],
            )

    def add_to_counters(self, rows: Sequence[CountRow]) -> None:
        for part in self._parts(rows):
            self._many(
                "INSERT INTO usage_hours VALUES ",
                part,
                " ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity",
            )

    def record_commit(self, position: int, now: int) -> None:
        self._cursor.execute("INSERT INTO meter_commits VALUES (?, ?)", (position, now))

    def _parts(self, rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
        return (rows[start : start + self._PART] for start in range(0, len(rows), self._PART))

    def _many(self, head: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> None:
        one = "(" + ",".join("?" * len(rows[0])) + ")"
        self._cursor.execute(head + ",".join([one] * len(rows)) + tail, list(chain.from_iterable(rows)))

    def _where_key(self, table: str, keys: Sequence[RunKey], also: str = "") -> Iterable[tuple[Any, ...]]:
        for part in self._parts(keys):
            wanted = ",".join(["(?,?)"] * len(part))
            self._cursor.execute(
                # The keys lead, in a cross join: asked by `IN (VALUES …)`, SQLite reads the whole table.
                f"SELECT t.* FROM (VALUES {wanted}) AS k CROSS JOIN {table} AS t"  # noqa: S608
                f" ON t.account_id = k.column1 AND t.run_key = k.column2{also}",
                list(chain.from_iterable(part)),
            )
            yield from self._cursor.fetchall()
