"""The event store on SQLite and PostgreSQL."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from metering.database import reading, writing
from metering.event import TaskRunEvent
from metering.outcome import Outcome
from metering.period import DAY_US, day_of
from metering.run_list import MonthUsage, month_usage
from metering.store import Cutoff, run_key
from metering.store.append import Append
from metering.store.counted import accounts_in, accounts_with_runs, billable_days, days_as_of
from metering.store.counters import Counters
from metering.store.driver import COMMIT_LOCK, Driver, NewRun, PostgresDriver, SqliteDriver
from metering.store.names import Label, Names
from metering.store.revised import revised_runs
from metering.store.tables import commits, task_runs
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize


class SqlEventStore:
    """Implements `metering.store.EventStore`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._names = Names(engine)
        self._counters = Counters(engine, self._names)

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        if not events:
            return []
        try:
            return self._append(events, now)
        except BaseException:
            self._names.forget()  # names that it learned may never have been kept
            raise

    def _append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        places = self._names.known(events)
        if places is None and self._engine.dialect.name == "postgresql":
            # Names go first, in a transaction of their own: writers then never wait for one another's names
            # while they hold the locks of runs and counters. A name without events is harmless.
            with writing(self._engine) as connection:
                places = self._names.learn(events, PostgresDriver(connection))
        rows = None if places is None else _rows(events, places)
        with writing(self._engine) as connection:
            driver = self._driver(connection)
            if rows is None:
                rows = _rows(events, self._names.learn(events, driver))
            return Append(driver, self._names, rows).run(now)

    def _driver(self, connection: sa.Connection) -> Driver:
        if self._engine.dialect.name == "postgresql":
            return PostgresDriver(connection)
        return SqliteDriver(connection)

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


def _rows(events: Sequence[TaskRunEvent], places: Sequence[tuple[int, int]]) -> list[NewRun]:
    """Events as rows, in their order."""
    return [
        (
            account_id,
            run_key.encode(event.task_run_id),
            int(event.outcome),
            event.ended_at,
            event.duration_us,
            label_id,
            event.fingerprint,
        )
        for event, (account_id, label_id) in zip(events, places, strict=True)
    ]


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
