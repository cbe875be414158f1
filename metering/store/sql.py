"""The event store on SQLite and PostgreSQL."""

from __future__ import annotations

import heapq
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from metering.database import reading, writing
from metering.event import TaskRunEvent, fingerprints
from metering.outcome import OUTCOMES, THRESHOLD_US, Outcome
from metering.period import DAY_US, day_of
from metering.run_list import MonthUsage, month_usage
from metering.store import Cutoff, run_key
from metering.store.append import Append
from metering.store.counted import accounts_in, accounts_with_runs, billable_days, days_as_of
from metering.store.counters import Counters
from metering.store.driver import NewRun
from metering.store.names import NOTHING, Known, Label, Names, Place
from metering.store.postgres_driver import COMMIT_LOCK, PostgresDriver
from metering.store.revised import revised_runs
from metering.store.sqlite_driver import SqliteDriver
from metering.store.tables import commits, task_runs
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize


class SqlEventStore:
    """Implements `metering.store.EventStore`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._names = Names(engine)
        self._counters = Counters(engine, self._names)
        # SQLite has one writer at a time: those of this process wait here, and not by asking again and again.
        self._turn = threading.Lock()

    @property
    def writers(self) -> int:
        # PostgreSQL works on one commit while we prepare the next. SQLite has one writer at a time, and pays
        # by the page: few large commits cost it less than many.
        return 2 if self._engine.dialect.name == "postgresql" else 1

    @property
    def events_a_commit(self) -> int:
        return 20_000

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        if not events:
            return []
        places = [(each.account, each.workspace, each.flow, each.source) for each in events]
        known = self._names.known().places
        missing = {place for place in places if place not in known}
        if self._engine.dialect.name == "postgresql":
            learned = self._learn(missing)
            rows = _rows(events, _numbers(places, known, learned.places))
            with writing(self._engine) as connection:
                return Append(PostgresDriver(connection), self._names.label, rows).run(now)
        # What can be made before the database is ours is made before.
        rows = [] if missing else _rows(events, _numbers(places, known, {}))
        with self._turn:
            with writing(self._engine) as connection:
                driver = SqliteDriver(connection)
                learned = self._names.learn(missing, driver) if missing else NOTHING
                rows = rows or _rows(events, _numbers(places, known, learned.places))
                accepted = Append(driver, lambda number: self._label(number, learned), rows).run(now)
            self._names.remember(learned)
        return accepted

    def _learn(self, missing: set[Place]) -> Known:
        """Names go first on PostgreSQL, in a transaction of their own: writers then never wait for another's
        names while they hold the locks of runs and counters. A name without events is harmless."""
        if not missing:
            return NOTHING
        with writing(self._engine) as connection:
            learned = self._names.learn(missing, PostgresDriver(connection))
        self._names.remember(learned)
        return learned

    def _label(self, number: int, learned: Known) -> Label:
        return learned.labels.get(number) or self._names.label(number)

    def cutoff(self) -> Cutoff:
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "postgresql":
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

    def has_account(self, account: str) -> bool:
        return self._names.account_id(account) is not None

    def accounts_of_source(self, source: str) -> list[str]:
        return self._names.accounts_of_source(source)

    def runs(self, account: str, start: int, end: int, cutoff: int) -> Iterator[Run]:
        account_id = self._names.account_id(account)
        if account_id is None:
            return
        labels = self._names.labels_of(account_id)
        with reading(self._engine) as connection:
            plain = (
                sa.select(task_runs)
                .where(*_plain(account_id, start, end, cutoff))
                .order_by(task_runs.c.run_key)
                .execution_options(yield_per=5000)
            )
            is_uuid = sa.func.length(task_runs.c.run_key) == 16
            # Keys of either kind are in the order of their ids; the two kinds and the revised runs, which
            # are few, are merged.
            streams = [
                (_run(row.run_key, row, labels) for row in connection.execute(plain.where(is_uuid))),
                (_run(row.run_key, row, labels) for row in connection.execute(plain.where(~is_uuid))),
                revised_runs(connection, [account_id], start, end, cutoff).get(account_id, []),
            ]
            yield from heapq.merge(*streams, key=lambda run: run.task_run_id.encode())

    def days(self, account: str, start: int, end: int, cutoff: int) -> dict[date, Counts]:
        account_id = self._names.account_id(account)
        if account_id is None or start >= end:
            return {}
        found: dict[int, Counter[Outcome]] = defaultdict(Counter)
        with reading(self._engine) as connection:
            day = (task_runs.c.ended_at // sa.literal_column(str(DAY_US))).label("day")
            quantity = sa.func.count().label("quantity")
            query = sa.select(day, task_runs.c.outcome, quantity)
            query = query.where(*_plain(account_id, start, end, cutoff))
            for row in connection.execute(query.group_by(day, task_runs.c.outcome)):
                found[row.day][Outcome(row.outcome)] += row.quantity
            for run in revised_runs(connection, [account_id], start, end, cutoff).get(account_id, ()):
                found[run.ended_at // DAY_US][run.outcome] += 1
        return {day_of(day * DAY_US): Counts(dict(found[day])) for day in sorted(found)}

    def month_usages(
        self, accounts: Sequence[str], start: int, end: int, cutoff: int
    ) -> Iterator[tuple[str, MonthUsage]]:
        # numpy takes a tenth of a second to import: only those pay for it who close a month.
        from metering.store.month_pages import Question
        from metering.store.months import Months

        numbers = self._names.account_ids(accounts)
        names = {number: account for account, number in numbers.items()}
        for account in accounts:
            if account not in numbers:
                yield account, month_usage(())
        for number, usage in Months(self._engine).usages(list(names), Question(start, end, cutoff)):
            account = names[number]
            yield account, usage or month_usage(self.runs(account, start, end, cutoff))

    def days_of(self, since: Mapping[str, int], end: int, cutoff: int) -> dict[str, dict[date, Counts]]:
        numbers = self._names.account_ids(list(since))
        wanted = {number: since[account] for account, number in numbers.items() if since[account] < end}
        counted = None
        if wanted:
            with reading(self._engine) as connection:
                counted = days_as_of(connection, wanted, end, cutoff)
        if counted is None:
            return {account: self.days(account, start, end, cutoff) for account, start in since.items()}
        return {account: counted.get(numbers.get(account, 0), {}) for account in since}

    def billable_days(self, account: str, start: int, end: int) -> dict[date, int]:
        with reading(self._engine) as connection:
            return billable_days(connection, account, start, end)

    def accounts_in(self, start: int, end: int) -> set[str]:
        with reading(self._engine) as connection:
            return accounts_in(connection, start, end)

    def accounts_with_runs(self, accounts: Sequence[str], start: int, end: int) -> set[str]:
        with reading(self._engine) as connection:
            return accounts_with_runs(connection, accounts, start, end)

    def close(self) -> None:
        self._engine.dispose()


def _plain(account_id: int, start: int, end: int, cutoff: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Runs of which one event is known, that end in the period and were committed up to the cutoff."""
    return (
        task_runs.c.account_id == account_id,
        task_runs.c.revised == 0,
        task_runs.c.position <= cutoff,
        task_runs.c.ended_at >= start,
        task_runs.c.ended_at < end,
    )


def _numbers(
    places: Sequence[Place], known: dict[Place, tuple[int, int]], learned: dict[Place, tuple[int, int]]
) -> list[tuple[int, int]]:
    if not learned:
        return list(map(known.__getitem__, places))
    return [known.get(place) or learned[place] for place in places]


def _rows(events: Sequence[TaskRunEvent], places: Sequence[tuple[int, int]]) -> list[NewRun]:
    """Events as rows, in their order. Made column by column, which takes half the time of row by row."""
    account_ids, label_ids = zip(*places, strict=True)
    outcomes = [_RANKS[event.state, event.duration_us > THRESHOLD_US] for event in events]
    ended_at = [event.ended_at for event in events]
    durations_us = [event.duration_us for event in events]
    keys = run_key.encode_all([event.task_run_id for event in events])
    return list(
        zip(account_ids, keys, outcomes, ended_at, durations_us, label_ids, fingerprints(events), strict=True)
    )


# As plain numbers: an Outcome costs the driver a look at its class, each time.
_RANKS = {key: int(outcome) for key, outcome in OUTCOMES.items()}


def _run(key: bytes, row: sa.Row[Any], labels: dict[int, Label]) -> Run:
    label = labels[row.label_id]
    return Run(
        run_key.decode(bytes(key)),
        Outcome(row.outcome),
        row.ended_at,
        row.duration_us,
        label.workspace,
        label.flow,
        label.source,
    )
