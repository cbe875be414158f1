"""The event store on SQLite and PostgreSQL."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from operator import attrgetter

import sqlalchemy as sa

from metering.database import reading, writing
from metering.event import TaskRunEvent
from metering.run_list import MonthUsage, month_usage
from metering.store import Cutoff
from metering.store.append import Append
from metering.store.batch import batch_of
from metering.store.counters import Counters
from metering.store.listed import listed_days, listed_runs
from metering.store.month_columns import Question
from metering.store.month_totals import MonthTotals
from metering.store.months import Months
from metering.store.names import NOTHING, Known, Label, Names, Place
from metering.store.postgres_driver import COMMIT_LOCK, PostgresDriver
from metering.store.sqlite_driver import SqliteDriver
from metering.store.tables import commits
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize


class SqlEventStore:
    """Implements `metering.store.EventStore`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._names = Names(engine)
        self._counters = Counters(engine, self._names)
        # SQLite has one writer at a time: those of this process wait here, and not by asking again and again.
        self._turn = threading.Lock()
        # Months and buckets that are noted; forgetting costs only a statement.
        self._buckets: set[tuple[int, int]] = set()

    @property
    def writers(self) -> int:
        # PostgreSQL works on one commit while we prepare the next. SQLite has one writer at a time, and pays
        # by the page: few large commits cost it less than many.
        return 2 if self._engine.dialect.name == "postgresql" else 1

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        if not events:
            return []
        places: list[Place] = list(map(_place_of, events))
        numbers = list(map(self._names.known().places.get, places))
        missing = {place for place, number in zip(places, numbers, strict=True) if number is None}
        if self._engine.dialect.name == "postgresql":
            batch = batch_of(events, _numbers(places, numbers, self._learn(missing)))
            with writing(self._engine) as connection:
                done = Append(PostgresDriver(connection), self._names.label, batch, self._buckets).run(now)
        else:
            # What can be made before the database is ours is made before.
            made = None if missing else batch_of(events, _numbers(places, numbers, NOTHING))
            with self._turn:
                with writing(self._engine) as connection:
                    driver = SqliteDriver(connection)
                    learned = self._names.learn(missing, driver) if missing else NOTHING
                    batch = made or batch_of(events, _numbers(places, numbers, learned))
                    label_of = functools.partial(self._label, learned)
                    done = Append(driver, label_of, batch, self._buckets).run(now)
                self._names.remember(learned)
        # Noted for good, now that it is committed.
        self._buckets |= done.buckets
        return done.accepted

    def _learn(self, missing: set[Place]) -> Known:
        """Names go first on PostgreSQL, in a transaction of their own: writers then never wait for another's
        names while they hold the locks of runs and counters. A name without events is harmless."""
        if not missing:
            return NOTHING
        with writing(self._engine) as connection:
            learned = self._names.learn(missing, PostgresDriver(connection))
        self._names.remember(learned)
        return learned

    def _label(self, learned: Known, number: int) -> Label:
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
            yield from listed_runs(connection, account_id, labels, Question(start, end, cutoff))

    def days(self, account: str, start: int, end: int, cutoff: int) -> dict[date, Counts]:
        account_id = self._names.account_id(account)
        if account_id is None or start >= end:
            return {}
        with reading(self._engine) as connection:
            return listed_days(connection, account_id, Question(start, end, cutoff))

    def month_usages(
        self, accounts: Sequence[str], start: int, end: int, cutoff: int
    ) -> Iterator[tuple[str, MonthUsage]]:
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

    def accounts_in(self, start: int, end: int) -> list[str]:
        with reading(self._engine) as connection:
            return MonthTotals(connection).accounts(start, end)

    def accounts_with_runs(self, accounts: Sequence[str], start: int, end: int) -> set[str]:
        with reading(self._engine) as connection:
            return MonthTotals(connection).having(accounts, start, end)

    def close(self) -> None:
        self._engine.dispose()


_place_of = attrgetter("account", "workspace", "flow", "source")


def _numbers(
    places: Sequence[Place], known: Sequence[tuple[int, int] | None], learned: Known
) -> list[tuple[int, int]]:
    """The numbers of each place: those that were known, and else those that were learned."""
    return [number or learned.places[place] for place, number in zip(places, known, strict=True)]
