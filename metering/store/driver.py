"""The statements of the hot path, which go to the database driver itself. `sqlite_driver` and
`postgres_driver` have them for each engine.

Many rows travel in one statement, column by column: the cost of a statement, and on SQLite of giving up and
taking back the interpreter's lock, is paid once for hundreds of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from metering.store.batch import Batch, Integers
from metering.store.counts import Changes

RunKey = tuple[int, int, bytes]
"""Bucket, account, key: what leads to a row of `task_runs`."""


class RunRow(NamedTuple):
    """A row of `task_runs`, in the order of its columns."""

    fingerprint: int
    ended_at: int
    duration_us: int
    position: int
    label_id: int
    outcome: int
    revised: int
    bucket: int
    account_id: int
    run_key: bytes


class RevisionRow(NamedTuple):
    """A row of `task_run_revisions`, in the order of its columns."""

    fingerprint: int
    ended_at: int
    duration_us: int
    position: int
    label_id: int
    outcome: int
    bucket: int
    account_id: int
    run_key: bytes


class CorrectionRow(NamedTuple):
    """A row of `task_run_corrections`, in the order of its columns."""

    position: int
    recorded_at: int
    place: int
    action: int
    author: str
    reason: str
    bucket: int
    account_id: int
    run_key: bytes


class Held(NamedTuple):
    """Runs of a batch that were held before: the places of their events, and the fingerprint of each run's
    first event, which is there for ever."""

    places: list[int]
    fingerprints: list[int]


class Driver(Protocol):
    """One open transaction of a writer."""

    def numbers(
        self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], int]:
        """The id of each row of a table of names, by its other columns (name → type); new ones get one."""

    def next_position(self) -> int: ...
    def together(self) -> AbstractContextManager[object]:
        """Statements within answer nothing, and need not wait for one another."""

    def insert_runs(self, batch: Batch, leads: Integers, position: int) -> Held:
        """Insert the events at these places, which are in key order, where their run is new."""

    def held_runs(self, keys: Sequence[RunKey]) -> Iterable[RunRow]:
        """Held runs, given in key order, as they are now and stay until the end of the transaction."""

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]: ...
    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None: ...
    def corrections(self, keys: Sequence[RunKey]) -> Iterable[CorrectionRow]:
        """All that were recorded of some runs, of which at least one is given."""

    def insert_corrections(self, rows: Sequence[CorrectionRow]) -> None: ...
    def count(self, changes: Changes, position: int) -> None:
        """Add at least one change to the counters; a month that is changed has this position."""

    def note_buckets(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Months, each with a bucket that holds runs which end in it; in order."""

    def record_commit(self, position: int, now: int) -> None: ...
