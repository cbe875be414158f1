"""EventStore: where events are kept for ever and counted. The engines are modules beside this one."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, Protocol

from metering.durations import BillableMonths, DurationsAsked, RunDurations
from metering.event import TaskRunEvent
from metering.figures import Asked, RunFigures, SharedRuns
from metering.outcome import Action, Outcome
from metering.pairing.half import Half
from metering.run_list import MonthUsage
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize


class Cutoff(NamedTuple):
    """A position in the order of commits, and the clock's time of the last commit it includes (None: there
    is none). The position is the rule; the time is shown beside it."""

    position: int
    committed_at: int | None


class Correction(NamedTuple):
    """The operator's own word on task runs, and who says so and why."""

    action: Action
    reason: str
    author: str


Noting = Callable[[Any, int, Sequence[str]], None]
"""What is to happen in the transaction that records a correction: told its connection to the SQL database
(which keeps the record whichever store keeps the events), its position, and the ids of the runs that are
corrected, in the order of the record."""


class Verdict(enum.Enum):
    """What became of a run that was to be corrected. `UNCHANGED`: it is, or is not, reversed already, and
    nothing was recorded."""

    CORRECTED = enum.auto()
    UNCHANGED = enum.auto()
    NOT_HELD = enum.auto()


Place = tuple[str, str]
"""Workspace and flow; empty where a run names none."""


class EventStore(Protocol):
    """Facts kept durably. All instants in microseconds since the epoch; periods half-open."""

    @property
    def writers(self) -> int:
        """How many threads may do well to append at once. Any number may."""

    @property
    def events_a_commit(self) -> int:
        """How many events that wait do well to share a commit. Any number may."""

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        """Keep and count events in one transaction. True where an event was accepted, False where it is a
        duplicate. When this returns, what was accepted is on disk and in the next usage answer."""

    @property
    def prepare(self) -> Callable[[Sequence[TaskRunEvent]], Any]:
        """What of `append` needs no database: a function of a module, which another process may call with at
        least one event. What it makes can be sent between processes."""

    def append_prepared(self, prepared: Sequence[Any], now: int) -> list[bool]:
        """`append`, in one transaction, of what `prepare` made of each of some batches."""

    def append_halves(self, halves: Sequence[Half], now: int) -> list[bool]:
        """Keep halves of runs, and keep and count the events that they come to with those held. True where a
        half was not held. Durable like `append`; not one transaction, so see `catch_up`."""

    def catch_up(self, now: int) -> int:
        """Count what halves come to that a crash left; how many runs were looked at."""

    def forget_halves(self, now: int) -> None:
        """Drop halves that came too long ago; the log names accounts of which some still waited."""

    def cutoff(self) -> Cutoff:
        """The highest position such that no commit at or below it can still appear."""

    def usage(
        self, account: str, start: int, end: int, *, by: WindowSize = "day", group_by: GroupBy | None = None
    ) -> Usage:
        """Usage now, from the hourly counters. `start` and `end` must be on whole hours (ValueError)."""

    def runs(
        self, account: str, start: int, end: int, cutoff: int, *, as_sent: bool = False, from_id: str = ""
    ) -> Iterator[Run]:
        """All task runs that end in the period, judged by the events and corrections committed up to `cutoff`
        (a position), ascending by the bytes of `task_run_id`. `as_sent`: by the events alone, for whoever
        compares with their source. `from_id`: those whose id is not before it; what is before is not read.
        Streams; memory stays flat."""

    def find(
        self, account: str, task_run_ids: Sequence[str], cutoff: int, *, as_sent: bool = False
    ) -> dict[str, Run]:
        """Those of some task runs that are held, by their id, judged as `runs` does, whenever they ended."""

    def month_usages(
        self, accounts: Sequence[str], start: int, end: int, cutoff: int
    ) -> Iterator[tuple[str, MonthUsage]]:
        """What `run_list.month_usage` says of each account's `runs`, in any order of accounts, and much
        faster. Accounts that were never metered have no runs."""

    def days(self, account: str, start: int, end: int, cutoff: int) -> dict[date, Counts]:
        """The counts of each day (UTC) that has task runs in the period, by the same events as `runs`."""

    def days_of(self, since: Mapping[str, int], end: int, cutoff: int) -> dict[str, dict[date, Counts]]:
        """The `days` of each of many accounts, from an instant of its own, on a whole day, up to `end`."""

    def billable_days(self, account: str, start: int, end: int) -> dict[date, int]:
        """The billable runs of each day that has any, now, from the hourly counters. `start` and `end` are on
        whole days."""

    def billable_in(self, account: str, periods: Sequence[tuple[int, int]]) -> list[int]:
        """The billable runs of each of some periods `[start, end)` on whole days, in order and without
        overlap, now: those of whole months from the counters of months, as quick as a few rows."""

    def unchanged_since(self, account: str, start: int, end: int, cutoff: int) -> bool:
        """Whether no commit after the cutoff (a position) changed what an account has in a period of whole
        months: what is counted now was so then. False also where that is not known. As quick as a counter."""

    def names_as_of(self, account: str, start: int, end: int, cutoff: int | None) -> dict[Place, int]:
        """The billable runs of each (workspace, flow) that has any, in a period of whole months, judged as
        `runs` does (None: now); empty names where a run has none. From the counters, where the period is
        `unchanged_since`; else it reads the runs of the period."""

    def accounts_in(self, start: int, end: int) -> list[str]:
        """Accounts that have, or once had, task runs in a period of whole months, from the counters; in an
        order in which `month_usages` is fast."""

    def accounts_with_runs(self, accounts: Sequence[str], start: int, end: int) -> set[str]:
        """Those of some accounts that have task runs in a period of whole months now, from the counters."""

    def counts_by_account(self, start: int, end: int) -> dict[str, Counts]:
        """Accounts that have, or once had, task runs in the period, and their counts now (which may be zero,
        where all their runs moved elsewhere), from the hourly counters."""

    def billable_months(self, start: int, end: int) -> BillableMonths:
        """The billable runs of all accounts, in each month of a period of whole months, now: in columns, and
        from the counters."""

    def run_durations(
        self, asked: DurationsAsked, accounts: Sequence[str] | None = None
    ) -> dict[str, RunDurations]:
        """Of all accounts, or some: how long their runs of a period took, and how many would count at other
        thresholds, now, corrections included. Accounts without any are left out. Reads the runs of the
        period, and those of which several events are known; what it holds is a few rows an account."""

    def days_at(
        self, accounts: Sequence[str], start: int, end: int, threshold_us: int
    ) -> dict[str, dict[date, int]]:
        """The runs of each day of a period that would count at a threshold, now. Reads the runs."""

    def run_figures(self, asked: Asked, accounts: Sequence[str] | None = None) -> dict[str, RunFigures]:
        """Of all accounts, or some: how long their runs of a period of whole days took, and when they were
        told, now. Accounts without runs in it are left out. Reads the runs of the period, and those of which
        several events are known; what it holds is a row an account."""

    def shared_runs(self, start: int, end: int) -> list[SharedRuns]:
        """Run ids of a period of whole months that several accounts have. UUIDs only: other ids, such as
        `run-1`, are the same by chance. An id without a time in it is compared within the period."""

    def held(self, account: str, task_run_ids: Sequence[str]) -> dict[str, Outcome]:
        """The outcome of those of some task runs that are held, by all events committed so far, and by them
        alone: a source is compared with what it sent, whatever the operator said since."""

    def correct(
        self,
        account: str,
        task_run_ids: Sequence[str],
        correction: Correction,
        now: int,
        *,
        noting: Noting | None = None,
    ) -> list[Verdict]:
        """Record the correction of those runs whose outcome it changes, and count them anew, in one
        transaction, which has a position among the commits; `noting` is part of it. Answers what became of
        each; a run that is named twice is corrected once. On disk, and in the next usage answer, when this
        returns."""

    def has_account(self, account: str) -> bool:
        """Whether an event of the account was ever handed in."""

    def accounts_of_source(self, source: str) -> list[str]:
        """The accounts of which an event named this source, in order."""

    def settle(self, *, if_much: bool = False) -> None:
        """Do what commits put off, where the store puts anything off; `if_much`: once it is worth it. Without
        it every answer is the same, and takes longer."""

    def close(self) -> None:
        """Release connections."""
