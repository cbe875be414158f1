"""Reads the task runs of many accounts' month as columns: the database puts them together, so a row costs no
object here, and another thread may compute meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import sqlalchemy as sa

from metering.outcome import Outcome
from metering.run_columns import Integers, Runs
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

    def read(self, part: Part, asked: Question) -> tuple[Runs, set[int]]:
        """Runs of a part in the order of (bucket, account, key), and the accounts in which some id is no
        UUID: such runs are not among them."""


_UUID = f"FILTER (WHERE length(run_key) = {UUID_BYTES})"
_TEXT = f"FILTER (WHERE length(run_key) <> {UUID_BYTES})"
_CODE = f"ended_at * {_OUTCOME_CODE} + outcome"


class SqliteColumns:
    """SQLite has no arrays: columns come as text. It goes through the buckets in the order given, and in each
    through a range of keys in their order."""

    _QUERY = (
        f"SELECT group_concat(hex(run_key), '') {_UUID}, group_concat(account_id) {_UUID},"  # noqa: S608
        f" group_concat({_CODE}) {_UUID}, group_concat(duration_us) {_UUID},"
        f" group_concat(DISTINCT account_id) {_TEXT}"
        " FROM json_each(?) AS b CROSS JOIN task_runs AS t ON t.bucket = b.value"
        " WHERE account_id BETWEEN ? AND ? AND run_key >= ? AND run_key < ? AND revised = 0 AND position <= ?"
        " AND ended_at >= ? AND ended_at < ?"
    )

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor()

    def read(self, part: Part, asked: Question) -> tuple[Runs, set[int]]:
        given = (json.dumps(list(part.buckets)), part.first, part.last, part.above, part.below)
        found = self._cursor.execute(self._QUERY, (*given, asked.cutoff, asked.start, asked.end)).fetchone()
        keys, accounts, codes, durations, texts = found
        raw = np.frombuffer(bytes.fromhex(keys or ""), dtype=np.uint8).reshape(-1, UUID_BYTES)
        runs = _runs(_integers(accounts), raw, _integers(codes), _integers(durations))
        return runs, set(_integers(texts).tolist())


def _integers(text: str | None) -> Integers:
    return np.fromstring(text or "", dtype=np.int64, sep=",")


class PostgresColumns:
    """A run comes as the bytes of its numbers, all of them behind one another."""

    _ROW = np.dtype([("account", ">i4"), ("key", "u1", UUID_BYTES), ("code", ">i8"), ("duration", ">i8")])
    _QUERY = (
        "SELECT string_agg(int4send(account_id) || run_key || int8send(code) || int8send(duration_us), '')"  # noqa: S608
        f" {_UUID}, array_agg(DISTINCT account_id) {_TEXT}"
        f" FROM (SELECT account_id, run_key, {_CODE} AS code, duration_us FROM task_runs"
        " WHERE bucket = ANY(%s::int[]) AND account_id BETWEEN %s AND %s AND run_key >= %s AND run_key < %s"
        " AND revised = 0 AND position <= %s AND ended_at >= %s AND ended_at < %s"
        " ORDER BY bucket, account_id, run_key) runs"
    )

    def __init__(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        self._cursor = raw.cursor(binary=True)

    def read(self, part: Part, asked: Question) -> tuple[Runs, set[int]]:
        given = (list(part.buckets), part.first, part.last, part.above, part.below)
        # Planned each time: a plan that is kept reckons with a few buckets.
        self._cursor.execute(self._QUERY, (*given, asked.cutoff, asked.start, asked.end), prepare=False)
        packed, texts = self._cursor.fetchone()
        rows = np.frombuffer(packed or b"", dtype=self._ROW)
        runs = _runs(
            rows["account"].astype(np.int64),
            rows["key"],
            rows["code"].astype(np.int64),
            rows["duration"].astype(np.int64),
        )
        return runs, set(texts or ())


def _runs(accounts: Integers, keys: Any, codes: Integers, durations: Integers) -> Runs:
    return Runs(accounts, keys, codes % _OUTCOME_CODE, codes // _OUTCOME_CODE, durations)
