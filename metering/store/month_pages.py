"""Reads the task runs of many accounts' month in pages of columns: the database puts the columns together, so
a row costs no object here, and another thread may compute meanwhile.

One snapshot for all: a run that is revised meanwhile is neither missed nor seen twice.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import sqlalchemy as sa

from metering.outcome import Outcome
from metering.period import DAY_US
from metering.run_columns import DAY_CODE, Billed, Integers
from metering.store.run_key import UUID_BYTES

# Runs in a page: a few megabytes.
PAGE = 50_000

# Below and above every key.
FIRST, LAST = b"", b"\xff" * (UUID_BYTES + 1)


class Question(NamedTuple):
    """Which runs: those of which one event is known, as of a cutoff, that end in `[start, end)`."""

    start: int
    end: int
    cutoff: int


class Page(NamedTuple):
    """Runs of one account with keys in `(above, to]`. `others` are those not billed, as day and outcome
    codes. `texts` counts the runs whose id is not a UUID: they are not in the page."""

    above: bytes
    to: bytes
    texts: int
    billed: Billed
    others: Integers


class Pages(Protocol):
    """In one transaction that reads."""

    def bounds(self, account_ids: Sequence[int]) -> dict[int, list[bytes]]:
        """Of accounts that hold more than a page: the keys at which their pages end, but for the last."""

    def whole(self, account_ids: Sequence[int], asked: Question) -> Iterator[tuple[int, Page]]:
        """All runs of each account, in one page."""

    def page(self, account_id: int, above: bytes, to: bytes, asked: Question) -> Page:
        """A page of an account."""


_CODE = f"ended_at / {DAY_US} * {DAY_CODE} + outcome"
_BILLED = f"FILTER (WHERE outcome = {int(Outcome.BILLABLE)})"
_OTHER = f"FILTER (WHERE outcome <> {int(Outcome.BILLABLE)})"
_TEXTS = f"count(*) FILTER (WHERE length(run_key) <> {UUID_BYTES})"


class SqlitePages:
    """SQLite has no arrays: columns come as text. It goes through a range of keys in their order."""

    _PAGE = (
        f"SELECT {_TEXTS}, group_concat(hex(run_key), '') {_BILLED}, group_concat(ended_at) {_BILLED},"  # noqa: S608
        f" group_concat(duration_us) {_BILLED}, group_concat({_CODE}) {_OTHER} FROM task_runs"
        " WHERE account_id = ? AND run_key > ? AND run_key <= ? AND revised = 0 AND position <= ?"
        " AND ended_at >= ? AND ended_at < ?"
    )
    _BOUND = (
        "SELECT run_key FROM task_runs WHERE account_id = ? AND run_key > ?"  # noqa: S608
        f" ORDER BY run_key LIMIT 1 OFFSET {PAGE - 1}"
    )

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()

    def bounds(self, account_ids: Sequence[int]) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for account_id in account_ids:
            last = FIRST
            while row := self._cursor.execute(self._BOUND, (account_id, last)).fetchone():
                last = bytes(row[0])
                found.setdefault(account_id, []).append(last)
        return found

    def whole(self, account_ids: Sequence[int], asked: Question) -> Iterator[tuple[int, Page]]:
        for account_id in account_ids:
            yield account_id, self.page(account_id, FIRST, LAST, asked)

    def page(self, account_id: int, above: bytes, to: bytes, asked: Question) -> Page:
        parameters = (account_id, above, to, asked.cutoff, asked.start, asked.end)
        texts, ids, ended_at, durations, codes = self._cursor.execute(self._PAGE, parameters).fetchone()
        billed = Billed((ids or "").lower().encode(), _integers(ended_at), _integers(durations))
        return Page(above, to, texts, billed, _integers(codes))


def _integers(text: str | None) -> Integers:
    return np.fromstring(text or "", dtype=np.int64, sep=",")


class PostgresPages:
    """Columns come as the bytes of their numbers, one row an account."""

    _COLUMNS = (
        f"SELECT {_TEXTS}, string_agg(run_key, '') {_BILLED}, string_agg(int8send(ended_at), '') {_BILLED},"  # noqa: S608
        f" string_agg(int8send(duration_us), '') {_BILLED}, string_agg(int8send({_CODE}), '') {_OTHER}"
        " FROM (SELECT run_key, outcome, ended_at, duration_us FROM task_runs WHERE account_id = %s"
        " AND run_key > %s AND run_key <= %s AND revised = 0 AND position <= %s AND ended_at >= %s"
        " AND ended_at < %s ORDER BY run_key) runs"
    )
    _BOUND = (
        "SELECT a.id, (SELECT run_key FROM task_runs WHERE account_id = a.id AND run_key > a.above"  # noqa: S608
        f" ORDER BY run_key OFFSET {PAGE - 1} LIMIT 1) FROM unnest(%s::int[], %s::bytea[]) AS a(id, above)"
    )

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor(binary=True)

    def bounds(self, account_ids: Sequence[int]) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        above = dict.fromkeys(account_ids, FIRST)
        while above:
            rows = self._cursor.execute(self._BOUND, (list(above), list(above.values()))).fetchall()
            above = {account_id: bytes(key) for account_id, key in rows if key is not None}
            for account_id, key in above.items():
                found.setdefault(account_id, []).append(key)
        return found

    def whole(self, account_ids: Sequence[int], asked: Question) -> Iterator[tuple[int, Page]]:
        columns = self._COLUMNS.replace("account_id = %s", "account_id = a.id", 1)
        query = f"SELECT a.id, page.* FROM unnest(%s::int[]) AS a(id) CROSS JOIN LATERAL ({columns}) page"  # noqa: S608
        parameters = (list(account_ids), FIRST, LAST, asked.cutoff, asked.start, asked.end)
        for account_id, *row in self._cursor.stream(query, parameters):
            yield account_id, _page(FIRST, LAST, row)

    def page(self, account_id: int, above: bytes, to: bytes, asked: Question) -> Page:
        parameters = (account_id, above, to, asked.cutoff, asked.start, asked.end)
        return _page(above, to, self._cursor.execute(self._COLUMNS, parameters).fetchone())


def _page(above: bytes, to: bytes, row: Sequence[Any]) -> Page:
    texts, ids, ended_at, durations, codes = row
    billed = Billed(hexlify(ids or b""), _numbers(ended_at), _numbers(durations))
    return Page(above, to, texts, billed, _numbers(codes))


def _numbers(column: bytes | None) -> Integers:
    return np.frombuffer(column or b"", dtype=">i8").astype(np.int64)
