"""The statements of the hot path, which go to the database driver itself. `sqlite_driver` and
`postgres_driver` have them for each engine.

Many rows travel in one statement: the cost of a statement, and on SQLite of giving up and taking back the
interpreter's lock, is paid once for hundreds of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

RunKey = tuple[int, bytes]


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
        """Insert what is new, in the order given, which is that of the keys. Answers what was held before of
        the same runs. All of a held row is there for ever but `revised`, which a writer at the same time
        may change."""

    def locked(self, rows: Sequence[RunRow]) -> Iterable[RunRow]:
        """Held runs, given in key order, as they are now and stay until the end of the transaction."""

    def held_revisions(self, keys: Sequence[RunKey]) -> Iterable[RevisionRow]: ...
    def insert_revisions(self, rows: Sequence[RevisionRow]) -> None: ...
    def add_to_counters(self, rows: Sequence[CountRow]) -> None: ...
    def record_commit(self, position: int, now: int) -> None: ...
