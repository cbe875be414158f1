"""The statements of the hot path, on the database driver itself, for SQLite and PostgreSQL.

Many rows travel in one statement: the cost of a statement, and on SQLite of giving up and taking back the
interpreter's lock, is paid once for hundreds of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa

RunKey = tuple[int, bytes]
Row = TypeVar("Row")

# A writer on PostgreSQL holds this advisory lock, shared, for its transaction; who needs a cutoff takes
# it alone for an instant. So positions follow the order of commits also with several writers.
COMMIT_LOCK = 0x6D657465  # "mete"


NewRun = tuple[int, bytes, int, int, int, int, int]
"""An event on its way into `task_runs`: account_id, run_key, outcome, ended_at, duration_us, label_id,
fingerprint. A plain tuple: at a hundred thousand a second, names would cost as much as the disk."""


class RunRow(NamedTuple):
    """A row of `task_runs`, in the order of its columns."""

    account_id: int
    run_key: bytes
    position: int
    outcome: int
    ended_at: int
    duration_us: int
    label_id: int
    fingerprint: int
    revised: int


class RevisionRow(NamedTuple):
    """A row of `task_run_revisions`, in the order of its columns."""

    account_id: int
    run_key: bytes
    fingerprint: int
    position: int
    outcome: int
    ended_at: int
    duration_us: int
    label_id: int


class CountRow(NamedTuple):
    """A change of one hourly counter."""

    account_id: int
    hour: int
    label_id: int
    outcome: int
    quantity: int


class Driver(Protocol):
    """One open transaction of a writer."""

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        """The id of each row of a table of names, by its other columns (name → type); new ones get one."""

    def next_position(self) -> int: ...
    def insert_runs(self, rows: Sequence[NewRun], position: int) -> list[RunRow]:
        """Insert what is new. Answers what was held before of the same runs, locked until the end."""

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]: ...
    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None: ...
    def add_to_counters(self, rows: Sequence[CountRow]) -> None: ...
    def record_commit(self, position: int, now: int) -> None: ...


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


class PostgresDriver:
    """Arrays through `unnest`, in binary, which takes half the time of text. In key order: writers that meet
    wait for one another, and cannot deadlock, since each takes runs in key order first and counters in key
    order after."""

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()
        self._cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (COMMIT_LOCK,))

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        names = ",".join(columns)
        given = f"unnest({','.join(f'%b::{kind}[]' for kind in columns.values())})"
        self._cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT * FROM {given} ON CONFLICT DO NOTHING",  # noqa: S608
            _columns(rows),
        )
        self._cursor.execute(
            f"SELECT {names}, t.id FROM {table} t JOIN {given} AS k({names}) USING ({names})",  # noqa: S608
            _columns(rows),
        )
        return {row[:-1]: row[-1] for row in self._cursor.fetchall()}

    def next_position(self) -> int:
        self._cursor.execute("SELECT nextval('meter_positions')")
        return int(self._cursor.fetchone()[0])

    def insert_runs(self, rows: Sequence[NewRun], position: int) -> list[RunRow]:
        self._cursor.execute(
            "INSERT INTO task_runs SELECT account_id, run_key, %s, outcome, ended_at, duration_us, label_id,"
            " fingerprint, 0 FROM unnest(%b::int[], %b::bytea[], %b::smallint[], %b::bigint[], %b::bigint[],"
            " %b::int[], %b::bigint[])"
            " AS new(account_id, run_key, outcome, ended_at, duration_us, label_id, fingerprint)"
            " ON CONFLICT DO NOTHING",
            [position, *_columns(rows)],
        )
        if self._cursor.rowcount == len(rows):
            return []
        tail = f" WHERE t.position <> {position} ORDER BY t.account_id, t.run_key FOR UPDATE OF t"
        return [RunRow(*row) for row in self._where_key("task_runs", [row[:2] for row in rows], tail)]

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]:
        return (RevisionRow(*row) for row in self._where_key("task_run_revisions", keys))

    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None:
        self._cursor.execute(
            "INSERT INTO task_run_revisions SELECT * FROM unnest(%b::int[], %b::bytea[], %b::bigint[],"
            " %b::bigint[], %b::smallint[], %b::bigint[], %b::bigint[], %b::int[])",
            _columns(rows),
        )
        self._cursor.execute(
            "UPDATE task_runs t SET revised = 1 FROM unnest(%b::int[], %b::bytea[]) AS k(account_id, run_key)"
            " WHERE t.account_id = k.account_id AND t.run_key = k.run_key",
            _columns([row[:2] for row in rows]),
        )

    def add_to_counters(self, rows: Sequence[CountRow]) -> None:
        self._cursor.execute(
            "INSERT INTO usage_hours SELECT * FROM unnest(%b::int[], %b::int[], %b::int[], %b::smallint[],"
            " %b::bigint[]) ON CONFLICT (account_id, hour, label_id, outcome)"
            " DO UPDATE SET quantity = usage_hours.quantity + excluded.quantity",
            _columns(rows),
        )

    def record_commit(self, position: int, now: int) -> None:
        self._cursor.execute("INSERT INTO meter_commits VALUES (%s, %s)", (position, now))

    def _where_key(self, table: str, keys: Sequence[RunKey], tail: str = "") -> Iterable[tuple[Any, ...]]:
        self._cursor.execute(
            f"SELECT t.* FROM {table} t JOIN unnest(%b::int[], %b::bytea[]) AS k(account_id, run_key)"  # noqa: S608
            f" USING (account_id, run_key){tail}",
            _columns(keys),
        )
        for row in self._cursor.fetchall():
            yield (row[0], bytes(row[1]), *row[2:])


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
