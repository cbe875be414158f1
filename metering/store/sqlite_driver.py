"""The statements of the hot path on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa

from metering.store.batch import Batch, Integers
from metering.store.counts import HourCounts, MonthCounts
from metering.store.driver import Held, RevisionRow, RunKey, RunRow

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

    def insert_runs(self, batch: Batch, leads: Integers, position: int) -> Held:
        # ?1 is the position, the same in every row; a plain ? takes the next number.
        one, width = "(?,?,?,?1,?,?,0,?,?,?)", 8
        columns = (batch.fingerprint, batch.ended_at, batch.duration_us, batch.label_id, batch.outcome)
        places = leads.tolist()
        keys = [batch.keys[place] for place in places]
        values: list[Any] = [None] * (width * len(places))
        for number, column in enumerate((*columns, batch.bucket, batch.account_id)):
            values[number::width] = column[leads].tolist()
        values[width - 1 :: width] = keys
        held: list[int] = []
        for start in range(0, len(places), self._PART):
            end = min(start + self._PART, len(places))
            rows = one.replace("?", "?2", 1) + ("," + one) * (end - start - 1)
            given = [position, *values[start * width : end * width]]
            insert = f"INSERT OR IGNORE INTO task_runs VALUES {rows} RETURNING account_id, run_key"  # noqa: S608
            inserted = self._cursor.execute(insert, given).fetchall()
            if len(inserted) < end - start:
                accounts = values[start * width + width - 2 : end * width : width]
                asked = zip(accounts, keys[start:end], strict=True)
                held += _left_out(places[start:end], asked, inserted)
        return self._held(batch, held)

    def _held(self, batch: Batch, places: Sequence[int]) -> Held:
        bucket, account_id = batch.bucket[places].tolist(), batch.account_id[places].tolist()
        keys = zip(bucket, account_id, (batch.keys[place] for place in places), strict=True)
        wanted = dict(zip(keys, places, strict=True))
        held = Held([], [])
        for fingerprint, *key in self._where_key("task_runs", list(wanted), f"fingerprint, {_KEY}"):
            held.places.append(wanted[tuple(key)])
            held.fingerprints.append(fingerprint)
        return held

    def held_runs(self, keys: Sequence[RunKey]) -> Iterable[RunRow]:
        return (RunRow(*row) for row in self._where_key("task_runs", keys))  # nobody else writes

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]:
        return (RevisionRow(*row) for row in self._where_key("task_run_revisions", keys))

    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None:
        self._many("INSERT INTO task_run_revisions VALUES ", rows)
        self._cursor.executemany(
            "UPDATE task_runs SET revised = 1 WHERE bucket = ? AND account_id = ? AND run_key = ?",
            [(row.bucket, row.account_id, row.run_key) for row in rows],
        )

    def add_to_hours(self, counts: HourCounts) -> None:
        add = " ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity"
        self._many("INSERT INTO usage_hours VALUES ", _rows(counts), add)

    def add_to_months(self, counts: MonthCounts, position: int) -> None:
        add = (
            " ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity,"
            " position = max(position, excluded.position)"
        )
        rows = [(quantity, position, *key) for quantity, *key in _rows(counts)]
        self._many("INSERT INTO usage_months VALUES ", rows, add)

    def note_buckets(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._many("INSERT OR IGNORE INTO run_buckets VALUES ", pairs)

    def record_commit(self, position: int, now: int) -> None:
        self._cursor.execute("INSERT INTO meter_commits VALUES (?, ?)", (position, now))

    def _parts(self, rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
        return (rows[start : start + self._PART] for start in range(0, len(rows), self._PART))

    def _many(self, head: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> None:
        for part in self._parts(rows):
            one = "(" + ",".join("?" * len(part[0])) + ")"
            self._cursor.execute(head + ",".join([one] * len(part)) + tail, list(chain.from_iterable(part)))

    def _where_key(
        self, table: str, keys: Sequence[RunKey], columns: str = "t.*"
    ) -> Iterable[tuple[Any, ...]]:
        for part in self._parts(keys):
            wanted = ",".join(["(?,?,?)"] * len(part))
            self._cursor.execute(
                # The keys lead, in a cross join: asked by `IN (VALUES …)`, SQLite reads the whole table.
                f"SELECT {columns} FROM (VALUES {wanted}) AS k CROSS JOIN {table} AS t"  # noqa: S608
                f" ON t.bucket = k.column1 AND t.account_id = k.column2 AND t.run_key = k.column3",
                list(chain.from_iterable(part)),
            )
            yield from self._cursor.fetchall()


_KEY = "bucket, account_id, run_key"


def _left_out(
    places: Sequence[int], asked: Iterable[tuple[int, bytes]], inserted: Iterable[tuple[int, bytes]]
) -> list[int]:
    """The places of the rows that were not inserted. Those that were come back in their order."""
    following = iter(inserted)
    came = next(following, None)
    left_out = []
    for place, key in zip(places, asked, strict=True):
        if key == came:
            came = next(following, None)
        else:
            left_out.append(place)
    assert came is None, "SQLite answers inserted rows in the order in which they were given"
    return left_out


def _rows(columns: Iterable[Integers]) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))
