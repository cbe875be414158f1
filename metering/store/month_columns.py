"""Reads the task runs of many accounts' month as columns: the database puts them together, so a row costs no
object here, and another thread may compute meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import sqlalchemy as sa

from metering.outcome import Outcome
from metering.run_columns import Integers, Runs, Texts
from metering.store import run_key
from metering.store.question import Question
from metering.store.run_key import UUID_BYTES

# How an instant and an outcome share a number.
_OUTCOME_CODE = 8
assert max(Outcome) < _OUTCOME_CODE


class Part(NamedTuple):
    """A part of a month: accounts from one number to another, and some buckets. Where it is the bucket of
    ids without a time, only keys from `above` on, below `below`."""

    first: int
    last: int
    buckets: Sequence[int]
    above: bytes = b""
    below: bytes = b"\xff" * (UUID_BYTES + 1)


class Columns(Protocol):
    """In one transaction that reads."""

    def read(self, part: Part, asked: Question) -> tuple[Runs, Texts]:
        """Runs of a part in the order of (bucket, account, key), and those whose id is no UUID, in the order
        of (account, id)."""

    def has_texts(self, part: Part, asked: Question) -> bool:
        """Whether there are any of the latter."""


_UUID = f"FILTER (WHERE length(run_key) = {UUID_BYTES})"
_IS_TEXT = f"length(run_key) <> {UUID_BYTES}"
_TEXT = f"FILTER (WHERE {_IS_TEXT})"
_CODE = f"ended_at * {_OUTCOME_CODE} + outcome"


class SqliteColumns:
    """SQLite has no arrays: columns come as text. It goes through the buckets in the order given, and in each
    through a range of keys in their order."""

    _FROM = (
        "FROM json_each(?) AS b CROSS JOIN task_runs AS t ON t.bucket = b.value"
        " WHERE account_id BETWEEN ? AND ? AND run_key >= ? AND run_key < ? AND revised = 0 AND position <= ?"
        " AND ended_at >= ? AND ended_at < ?"
    )
    _QUERY = (
        f"SELECT group_concat(hex(run_key), '') {_UUID}, group_concat(account_id) {_UUID},"
        f" group_concat({_CODE}) {_UUID}, group_concat(duration_us) {_UUID},"
        f" group_concat(hex(run_key)) {_TEXT}, group_concat(account_id) {_TEXT},"
        f" group_concat({_CODE}) {_TEXT}, group_concat(duration_us) {_TEXT} {_FROM}"
    )
    _HAS_TEXTS = f"SELECT EXISTS (SELECT 1 {_FROM} AND {_IS_TEXT})"

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()

    def read(self, part: Part, asked: Question) -> tuple[Runs, Texts]:
        found = self._row(self._QUERY, part, asked)
        keys, names = found[0] or "", found[4]
        raw = np.frombuffer(bytes.fromhex(keys), dtype=np.uint8).reshape(-1, UUID_BYTES)
        ids = [run_key.decode(bytes.fromhex(each)) for each in names.split(",")] if names else []
        return _runs(raw, *map(_integers, found[1:4])), _texts(ids, *map(_integers, found[5:]))

    def has_texts(self, part: Part, asked: Question) -> bool:
        return bool(self._row(self._HAS_TEXTS, part, asked)[0])

    def _row(self, query: str, part: Part, asked: Question) -> Any:
        given = (json.dumps(list(part.buckets)), part.first, part.last, part.above, part.below)
        return self._cursor.execute(query, (*given, asked.cutoff, asked.start, asked.end)).fetchone()


def _integers(text: str | None) -> Integers:
    return np.fromstring(text or "", dtype=np.int64, sep=",")


class PostgresColumns:
    """A run comes as the bytes of its numbers, all of them behind one another."""

    _ROW = np.dtype([("account", ">i4"), ("key", "u1", UUID_BYTES), ("code", ">i8"), ("duration", ">i8")])
    _NUMBERS = np.dtype([("account", ">i4"), ("code", ">i8"), ("duration", ">i8")])
    _FROM = (
        "FROM task_runs WHERE bucket = ANY(%s::int[]) AND account_id BETWEEN %s AND %s"
        " AND run_key >= %s AND run_key < %s"
        " AND revised = 0 AND position <= %s AND ended_at >= %s AND ended_at < %s"
    )
    _QUERY = (
        "SELECT string_agg(int4send(account_id) || run_key || int8send(code) || int8send(duration_us), '')"  # noqa: S608
        f" {_UUID}, string_agg(int4send(account_id) || int8send(code) || int8send(duration_us), '') {_TEXT},"
        f" array_agg(run_key) {_TEXT}"
        f" FROM (SELECT account_id, run_key, {_CODE} AS code, duration_us {_FROM}"
        " ORDER BY bucket, account_id, run_key) runs"
    )
    _HAS_TEXTS = f"SELECT EXISTS (SELECT 1 {_FROM} AND {_IS_TEXT})"

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor(binary=True)

    def read(self, part: Part, asked: Question) -> tuple[Runs, Texts]:
        packed, others, names = self._row(self._QUERY, part, asked)
        rows, more = np.frombuffer(packed or b"", self._ROW), np.frombuffer(others or b"", self._NUMBERS)
        ids = [run_key.decode(each) for each in names or ()]
        return _runs(rows["key"], *_numbers(rows)), _texts(ids, *_numbers(more))

    def has_texts(self, part: Part, asked: Question) -> bool:
        return bool(self._row(self._HAS_TEXTS, part, asked)[0])

    def _row(self, query: str, part: Part, asked: Question) -> Any:
        given = (list(part.buckets), part.first, part.last, part.above, part.below)
        # Planned each time: a plan that is kept reckons with a few buckets.
        self._cursor.execute(query, (*given, asked.cutoff, asked.start, asked.end), prepare=False)
        return self._cursor.fetchone()


def _numbers(rows: Any) -> list[Integers]:
    return [rows[name].astype(np.int64) for name in ("account", "code", "duration")]


def _runs(keys: Any, accounts: Integers, codes: Integers, durations: Integers) -> Runs:
    return Runs(accounts, keys, codes % _OUTCOME_CODE, codes // _OUTCOME_CODE, durations)


def _texts(ids: list[str], accounts: Integers, codes: Integers, durations: Integers) -> Texts:
    return Texts(accounts, ids, codes % _OUTCOME_CODE, codes // _OUTCOME_CODE, durations)
