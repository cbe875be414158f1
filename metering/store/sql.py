"""The event store on SQLite and PostgreSQL."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metering.database import reading, writing
from metering.durations import BillableMonths, DurationsAsked, RunDurations
from metering.event import TaskRunEvent
from metering.figures import Asked, RunFigures, SharedRuns
from metering.outcome import Outcome
from metering.pairing.half import Half
from metering.pairing.keeping import catch_up, forget_old, keep_and_meter
from metering.run_list import MonthUsage, month_usage
from metering.store import Correction, Cutoff, Noting, Place, Verdict, run_key
from metering.store.changes import SETTLED_FROM, SWEPT_EVERY, settle, sweep
from metering.store.counters import Counters
from metering.store.durations import days_at, run_durations
from metering.store.held import held_runs
from metering.store.hours import Hours
from metering.store.listed import found_runs, listed_days, listed_names, listed_runs
from metering.store.month_totals import MonthTotals
from metering.store.names import Names
from metering.store.question import EVER, Question
from metering.store.signs import run_figures, shared_runs
from metering.store.tables import COMMIT_LOCK, commits
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize

if TYPE_CHECKING:
    from metering.store.writer import Writer


class SqlEventStore:
    """Implements `metering.store.EventStore`."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._names = Names(engine)
        self._counters = Counters(engine, self._names)
        # Events whose counts were put off by this process, about: threads may count at the same time.
        self._put_off = 0
        # How often this process settled since it swept.
        self._unswept = 0

    @property
    def writers(self) -> int:
        # PostgreSQL works on one commit while we prepare the next. SQLite has one writer at a time, and pays
        # by the page: few large commits cost it less than many.
        return 2 if self.engine.dialect.name == "postgresql" else 1

    @property
    def events_a_commit(self) -> int:
        return 20_000

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        if not events:
            return []
        accepted = self.append_prepared([self.prepare(events)], now)
        self.settle(if_much=True)
        return accepted

    @property
    def prepare(self) -> Callable[[Sequence[TaskRunEvent]], Any]:
        # Takes a tenth of a second to import, for numpy: only those wait for it who bring events.
        from metering.store.batch import columns_of

        return columns_of

    def append_prepared(self, prepared: Sequence[Any], now: int) -> list[bool]:
        from metering.store.batch import joined

        accepted = self._writer.append(joined(prepared), now)
        self._put_off += sum(accepted)
        return accepted

    def append_halves(self, halves: Sequence[Half], now: int) -> list[bool]:
        return keep_and_meter(self.engine, halves, lambda events: self.append(events, now), now)

    def catch_up(self, now: int) -> int:
        return catch_up(self.engine, lambda events: self.append(events, now))

    def forget_halves(self, now: int) -> None:
        self.catch_up(now)
        forget_old(self.engine, now)

    @functools.cached_property
    def _writer(self) -> Writer:
        from metering.store.writer import Writer  # with numpy, too

        return Writer(self.engine, self._names)

    def cutoff(self) -> Cutoff:
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "postgresql":
                # Wait for the writers under way: their positions are taken, their commits still to come. On
                # SQLite there is one writer at a time, and positions are in order as they are.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(COMMIT_LOCK)))
            query = sa.select(commits).order_by(commits.c.position.desc()).limit(1)
            last = connection.execute(query).one_or_none()
            return Cutoff(last.position, last.committed_at) if last else Cutoff(0, None)

    def usage(
        self, account: str, start: int, end: int, *, by: WindowSize = "day", group_by: GroupBy | None = None
    ) -> Usage:
        return self._counters.usage(account, start, end, by=by, group_by=group_by)

    def counts_by_account(self, start: int, end: int) -> dict[str, Counts]:
        return self._counters.by_account(start, end)

    def billable_months(self, start: int, end: int) -> BillableMonths:
        from metering.store.billable_months import billable_months  # with numpy

        with reading(self.engine) as connection:
            return billable_months(connection, start, end)

    def run_durations(
        self, asked: DurationsAsked, accounts: Sequence[str] | None = None
    ) -> dict[str, RunDurations]:
        numbers = None if accounts is None else sorted(self._names.account_ids(accounts).values())
        with reading(self.engine) as connection:
            return run_durations(connection, asked, numbers)

    def days_at(
        self, accounts: Sequence[str], start: int, end: int, threshold_us: int
    ) -> dict[str, dict[date, int]]:
        numbers = self._names.account_ids(accounts)
        with reading(self.engine) as connection:
            found = days_at(connection, sorted(numbers.values()), start, end, threshold_us)
        return {account: found.get(numbers.get(account, -1), {}) for account in accounts}

    def run_figures(self, asked: Asked, accounts: Sequence[str] | None = None) -> dict[str, RunFigures]:
        numbers = None if accounts is None else sorted(self._names.account_ids(accounts).values())
        with reading(self.engine) as connection:
            return run_figures(connection, asked, numbers)

    def shared_runs(self, start: int, end: int) -> list[SharedRuns]:
        with reading(self.engine) as connection:
            return shared_runs(connection, start, end)

    def held(self, account: str, task_run_ids: Sequence[str]) -> dict[str, Outcome]:
        account_id = self._names.account_id(account)
        if account_id is None:
            return {}
        with reading(self.engine) as connection:
            return held_runs(connection, account_id, task_run_ids)

    def correct(
        self,
        account: str,
        task_run_ids: Sequence[str],
        correction: Correction,
        now: int,
        *,
        noting: Noting | None = None,
    ) -> list[Verdict]:
        account_id = self._names.account_id(account)
        if account_id is None:
            return [Verdict.NOT_HELD] * len(task_run_ids)
        keys = run_key.encode_all(task_run_ids)
        found = self._writer.correct(account_id, keys, correction, now, noting)
        return [found[key] for key in keys]

    def has_account(self, account: str) -> bool:
        return self._names.account_id(account) is not None

    def accounts_of_source(self, source: str) -> list[str]:
        return self._names.accounts_of_source(source)

    def runs(
        self, account: str, start: int, end: int, cutoff: int, *, as_sent: bool = False, from_id: str = ""
    ) -> Iterator[Run]:
        account_id = self._names.account_id(account)
        if account_id is None:
            return
        labels = self._names.labels_of(account_id)
        with reading(self.engine) as connection:
            asked = Question(start, end, cutoff)
            yield from listed_runs(connection, account_id, labels, asked, as_sent=as_sent, from_id=from_id)

    def find(
        self, account: str, task_run_ids: Sequence[str], cutoff: int, *, as_sent: bool = False
    ) -> dict[str, Run]:
        account_id = self._names.account_id(account)
        if account_id is None:
            return {}
        labels = self._names.labels_of(account_id)
        with reading(self.engine) as connection:
            asked = Question(*EVER, cutoff)
            return found_runs(connection, account_id, labels, task_run_ids, asked, as_sent=as_sent)

    def days(self, account: str, start: int, end: int, cutoff: int) -> dict[date, Counts]:
        account_id = self._names.account_id(account)
        if account_id is None or start >= end:
            return {}
        with reading(self.engine) as connection:
            return listed_days(connection, account_id, Question(start, end, cutoff))

    def month_usages(
        self, accounts: Sequence[str], start: int, end: int, cutoff: int
    ) -> Iterator[tuple[str, MonthUsage]]:
        numbers = self._names.account_ids(accounts)
        names = {number: account for account, number in numbers.items()}
        for account in accounts:
            if account not in numbers:
                yield account, month_usage(())
        from metering.store.months import Months  # takes a tenth of a second, too

        for number, usage in Months(self.engine).usages(list(names), Question(start, end, cutoff)):
            account = names[number]
            yield account, usage or month_usage(self.runs(account, start, end, cutoff))

    def days_of(self, since: Mapping[str, int], end: int, cutoff: int) -> dict[str, dict[date, Counts]]:
        numbers = self._names.account_ids(list(since))
        wanted = {number: since[account] for account, number in numbers.items() if since[account] < end}
        found: dict[str, dict[date, Counts]] = {account: {} for account in since}
        if wanted:
            names = {number: account for account, number in numbers.items()}
            counted, changed = self._counters.days_of(wanted, end, cutoff)
            found |= {names[number]: days for number, days in counted.items()}
            for account in map(names.__getitem__, changed):
                found[account] = self.days(account, since[account], end, cutoff)
        return found

    def billable_days(self, account: str, start: int, end: int) -> dict[date, int]:
        return self._counters.billable_days(account, start, end)

    def billable_in(self, account: str, periods: Sequence[tuple[int, int]]) -> list[int]:
        return self._counters.billable_in(account, periods)

    def unchanged_since(self, account: str, start: int, end: int, cutoff: int) -> bool:
        account_id = self._names.account_id(account)
        if account_id is None or start >= end:
            return True
        with reading(self.engine) as connection:
            return not MonthTotals(connection).changed([account_id], start, end, cutoff)

    def names_as_of(self, account: str, start: int, end: int, cutoff: int | None) -> dict[Place, int]:
        account_id = self._names.account_id(account)
        if account_id is None or start >= end:
            return {}
        labels = self._names.labels_of(account_id)
        with reading(self.engine) as connection:
            changed = cutoff is not None and MonthTotals(connection).changed([account_id], start, end, cutoff)
            if cutoff is not None and changed:
                return listed_names(connection, account_id, labels, Question(start, end, cutoff))
            found: Counter[Place] = Counter()
            for label_id, quantity in Hours(connection).billable_labels(account_id, start, end):
                found[labels[label_id].workspace, labels[label_id].flow] += quantity
            return {name: quantity for name, quantity in found.items() if quantity}

    def accounts_in(self, start: int, end: int) -> list[str]:
        with reading(self.engine) as connection:
            return MonthTotals(connection).accounts(start, end)

    def accounts_with_runs(self, accounts: Sequence[str], start: int, end: int) -> set[str]:
        with reading(self.engine) as connection:
            return MonthTotals(connection).having(accounts, start, end)

    def settle(self, *, if_much: bool = False) -> None:
        if self.engine.dialect.name != "postgresql" or (if_much and self._put_off < SETTLED_FROM):
            return
        self._put_off = 0
        with writing(self.engine) as connection:
            settled = settle(connection)
        self._unswept += settled
        if self._unswept and (not if_much or self._unswept >= SWEPT_EVERY):
            self._unswept = 0
            sweep(self.engine)

    def close(self) -> None:
        self.engine.dispose()
