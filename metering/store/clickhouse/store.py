"""The event store on ClickHouse.

What works in columns is imported where it is used: numpy takes a tenth of a second, and only those pay for it
who have their events there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from metering.event import TaskRunEvent
from metering.outcome import Action, Outcome, Statement
from metering.pairing.half import Half
from metering.pairing.keeping import catch_up, forget_old, keep_and_meter
from metering.period import DAY_US, HOUR_US, day_of, day_start
from metering.run_list import MonthUsage, month_usage
from metering.store import Correction, Cutoff, Noting, Place, Verdict, run_key
from metering.store.clickhouse import queries
from metering.store.clickhouse.address import Address
from metering.store.clickhouse.connection import GIVEN, Connection, Rows
from metering.store.clickhouse.corrected import Corrections, merged, move, once_within
from metering.store.clickhouse.figures import Figures
from metering.store.clickhouse.given import given_accounts, given_keys
from metering.store.clickhouse.journal import Journal, Seen
from metering.store.clickhouse.names import names_as_of
from metering.store.counters import check_hours, window_start
from metering.usage import Counts, GroupBy, Run, Usage, WindowSize, group_name, group_window


class ClickHouseEventStore(Figures):
    """Implements `metering.store.EventStore`. `engine` is the SQL database, which has the journal. Whatever
    is asked of it raises EventsUnavailable where ClickHouse cannot be used."""

    def __init__(self, engine: sa.Engine, address: Address, journal: Journal | None = None) -> None:
        self.engine = engine
        self._journal = journal or Journal(engine)
        self.address = address
        self.connection = Connection(address)
        self._corrections = Corrections(engine, self.connection, self._journal)
        # Accounts that have so much besides what is asked that they are better not read whole.
        self._large: set[str] = set()

    @property
    def writers(self) -> int:
        # One prepares its events and looks for duplicates while ClickHouse works for another.
        return 2

    @property
    def events_a_commit(self) -> int:
        # A question and an insert cost it half as much an event as with a tenth of these.
        return 100_000

    def append(self, events: Sequence[TaskRunEvent], now: int) -> list[bool]:
        return self.append_prepared([self.prepare(events)], now) if events else []

    @property
    def prepare(self) -> Callable[[Sequence[TaskRunEvent]], Any]:
        # Takes a tenth of a second to import, for numpy: only those wait for it who bring events.
        from metering.store.clickhouse.statements import Statements

        return Statements.of

    def append_prepared(self, prepared: Sequence[Any], now: int) -> list[bool]:
        from metering.store.clickhouse.append import Append
        from metering.store.clickhouse.statements import Statements

        return Append(self.connection, self._journal).run(Statements.joined(prepared), now)

    def append_halves(self, halves: Sequence[Half], now: int) -> list[bool]:
        return keep_and_meter(self.engine, halves, lambda events: self.append(events, now), now)

    def catch_up(self, now: int) -> int:
        return catch_up(self.engine, lambda events: self.append(events, now))

    def forget_halves(self, now: int) -> None:
        self.catch_up(now)
        forget_old(self.engine, now)

    def cutoff(self) -> Cutoff:
        return self._journal.close()

    def usage(
        self, account: str, start: int, end: int, *, by: WindowSize = "day", group_by: GroupBy | None = None
    ) -> Usage:
        check_hours(start, end)
        seen = self._journal.seen()
        small = account not in self._large
        plain = queries.usage(seen, all_partitions=small)
        query = plain if group_by is None else queries.usage_by(seen, group_by)
        windows: dict[tuple[int, str], Counter[Outcome]] = defaultdict(Counter)
        total: Counter[Outcome] = Counter()
        elsewhere = 0
        for hour, name, outcome, quantity in self.connection.rows(
            query, account=account, start=start, end=end
        ):
            if hour == queries.ELSEWHERE:
                elsewhere += quantity
                continue
            windows[window_start(hour * HOUR_US, by), name][Outcome(outcome)] += quantity
            total[Outcome(outcome)] += quantity
        for moved in self._corrections.moved(seen, [account]):
            for run, one in moved.within(start, end):
                name = group_name(group_by, run.workspace, run.flow)
                for counts in (windows[window_start(run.ended_at, by), name], total):
                    move(counts, [(run.outcome, one)])
        if elsewhere > _MUCH:
            self._large.add(account)
        return Usage(
            account,
            start,
            end,
            Counts(dict(total)),
            tuple(
                group_window(*key, group_by, Counts(dict(windows[key])))
                for key in sorted(windows)
                if windows[key]
            ),
        )

    def runs(
        self, account: str, start: int, end: int, cutoff: int, *, as_sent: bool = False, from_id: str = ""
    ) -> Iterator[Run]:
        seen = self._journal.seen(cutoff)
        # Keys of either kind are in the order of their ids.
        begins = {True: run_key.least_uuid(from_id), False: b"\0" + from_id.encode()}
        asked = {"account": account, "start": start, "end": end}
        streams = [
            self._stream(queries.runs(seen, uuids=uuids), from_key=begin.hex(), **asked)
            for uuids, begin in begins.items()
            if begin is not None
        ]
        moved = [] if as_sent else self._corrections.moved(seen, [account])
        moved = [each for each in moved if each.after.task_run_id.encode() >= from_id.encode()]
        yield from merged(streams, moved, start, end)

    def find(
        self, account: str, task_run_ids: Sequence[str], cutoff: int, *, as_sent: bool = False
    ) -> dict[str, Run]:
        if not task_run_ids:
            return {}
        seen = self._journal.seen(cutoff)
        rows = self.connection.rows(
            queries.found(seen, GIVEN), given=given_keys(task_run_ids), account=account
        )
        found = {row[0]: Run(row[0], Outcome(row[1]), *row[2:]) for row in rows}
        held = [] if as_sent else [each.after for each in self._corrections.moved(seen, [account])]
        return found | {run.task_run_id: run for run in held if run.task_run_id in found}

    def _stream(self, query: str, **parameters: Any) -> Iterator[Run]:
        last = b""
        for task_run_id, outcome, *rest in self.connection.stream(query, **parameters):
            key = task_run_id.encode()
            assert last < key, "ClickHouse answered runs out of order"
            last = key
            yield Run(task_run_id, Outcome(outcome), *rest)

    def days(self, account: str, start: int, end: int, cutoff: int) -> dict[date, Counts]:
        seen = self._journal.seen(cutoff)
        found: dict[int, Counter[Outcome]] = defaultdict(Counter)
        for day, outcome, quantity in self.connection.rows(
            queries.days(seen), account=account, start=start, end=end
        ):
            found[day][Outcome(outcome)] = quantity
        for moved in self._corrections.moved(seen, [account]):
            for run, one in moved.within(start, end):
                move(found[run.ended_at // DAY_US], [(run.outcome, one)])
        return _dated(found)

    def month_usages(
        self, accounts: Sequence[str], start: int, end: int, cutoff: int
    ) -> Iterator[tuple[str, MonthUsage]]:
        from metering.store.clickhouse.months import Holding, parts, usages

        seen = self._journal.seen(cutoff)
        for part in parts(accounts, _PART):
            given = given_accounts(part)
            numbers = {
                number: name for name, number in self.connection.rows(queries.numbers(GIVEN), given=given)
            }
            if len(numbers) < len(set(part)):  # two have the same: never, by chance
                yield from ((each, month_usage(self.runs(each, start, end, cutoff))) for each in part)
                continue
            held: dict[str, dict[bytes, Run]] = defaultdict(dict)
            for each in self._corrections.moved(seen, part):
                held[each.account][each.key] = each.after
            corrected = {number: Holding.of(held[name]) for number, name in numbers.items() if name in held}
            query = queries.said_in_columns(seen, GIVEN)
            blocks = self.connection.columns(query, given=given, start=start, end=end)
            for account, usage in usages(blocks, numbers, start, end, corrected):
                yield account, usage or month_usage(self.runs(account, start, end, cutoff))

    def days_of(self, since: Mapping[str, int], end: int, cutoff: int) -> dict[str, dict[date, Counts]]:
        found: dict[str, dict[int, Counter[Outcome]]] = {account: defaultdict(Counter) for account in since}
        if not since:
            return {}
        seen = self._journal.seen(cutoff)
        query = queries.days_by_account(seen, GIVEN)
        rows = self.connection.rows(
            query, given=given_accounts(list(since)), start=min(since.values()), end=end
        )
        for account, day, outcome, quantity in rows:
            if day * DAY_US >= since[account]:
                found[account][day][Outcome(outcome)] = quantity
        for moved in self._corrections.moved(seen, list(since)):
            for run, one in moved.within(since[moved.account], end):
                move(found[moved.account][run.ended_at // DAY_US], [(run.outcome, one)])
        return {account: _dated(days) for account, days in found.items()}

    def billable_days(self, account: str, start: int, end: int) -> dict[date, int]:
        seen = self._journal.seen()
        days = self.days(account, start, end, seen.high)
        return {day: counts.billable for day, counts in days.items() if counts.billable}

    def billable_in(self, account: str, periods: Sequence[tuple[int, int]]) -> list[int]:
        if not periods:
            return []
        days = self.billable_days(account, periods[0][0], periods[-1][1])
        starts = {day_start(day): runs for day, runs in days.items()}
        return [sum(starts.get(at, 0) for at in range(*period, DAY_US)) for period in periods]

    def unchanged_since(self, account: str, start: int, end: int, cutoff: int) -> bool:
        return self._journal.seen().high <= cutoff  # it is not kept which months a commit changed

    def names_as_of(self, account: str, start: int, end: int, cutoff: int | None) -> dict[Place, int]:
        seen = self._journal.seen(cutoff)
        return names_as_of(self.connection, self._corrections, seen, account, start, end)

    def accounts_in(self, start: int, end: int) -> list[str]:
        check_hours(start, end)
        seen = self._journal.seen()
        rows = self.connection.rows(queries.accounts_in(seen), start=start, end=end)
        having, found = self._having(seen, rows, start, end), (row[0] for row in rows)
        return sorted(each for each in found if each in having or self._was_there(seen, each, start, end))

    def accounts_with_runs(self, accounts: Sequence[str], start: int, end: int) -> set[str]:
        check_hours(start, end)
        if not accounts:
            return set()
        seen = self._journal.seen()
        query = queries.accounts_in(seen, GIVEN)
        rows = self.connection.rows(query, given=given_accounts(accounts), start=start, end=end)
        return self._having(seen, rows, start, end)

    def _having(self, seen: Seen, rows: Rows, start: int, end: int) -> set[str]:
        """Which accounts have runs in the period; the rows say it of each by its events alone."""
        having = {account for account, now in rows if now}
        moved = self._corrections.moved(seen, [account for account, _ in rows])
        elsewhere = {each.account for each in moved if sum(one for _, one in each.within(start, end))}
        for account in elsewhere:
            having.discard(account)
            if self.days(account, start, end, seen.high):
                having.add(account)
        return having

    def counts_by_account(self, start: int, end: int) -> dict[str, Counts]:
        check_hours(start, end)
        seen = self._journal.seen()
        found: dict[str, Counter[Outcome]] = defaultdict(Counter)
        for account, outcome, quantity in self.connection.rows(
            queries.by_account(seen), start=start, end=end
        ):
            found[account].update({Outcome(outcome): quantity} if quantity else {})
        for moved in self._corrections.moved(seen):
            move(found[moved.account], [(run.outcome, one) for run, one in moved.within(start, end)])
        return {
            account: Counts(dict(found[account]))
            for account in sorted(found)
            if found[account] or self._was_there(seen, account, start, end)
        }

    def _was_there(self, seen: Seen, account: str, start: int, end: int) -> bool:
        """Whether a run of an account that has none in the period now was in it as of some commit."""
        said: dict[bytes, list[tuple[int, Statement | Action]]] = defaultdict(list)
        rows = self.connection.rows(
            queries.once_there(seen), binary=["run_key"], account=account, start=start, end=end
        )
        for key, position, outcome, ended_at, duration_us in rows:
            said[key].append((position, Statement(Outcome(outcome), ended_at, duration_us, "", "", "")))
        for key, actions in self._corrections.history(seen, account).items():
            if key in said:
                said[key] += actions
        return any(once_within(each, start, end) for each in said.values())

    def held(self, account: str, task_run_ids: Sequence[str]) -> dict[str, Outcome]:
        if not task_run_ids:
            return {}
        query, given = queries.held(self._journal.seen(), GIVEN), given_keys(task_run_ids)
        rows = self.connection.rows(query, binary=["run_key"], given=given, account=account)
        return {run_key.decode(key): Outcome(outcome) for key, outcome in rows}

    def correct(
        self,
        account: str,
        task_run_ids: Sequence[str],
        correction: Correction,
        now: int,
        *,
        noting: Noting | None = None,
    ) -> list[Verdict]:
        return self._corrections.correct(account, task_run_ids, correction, now, noting)

    def has_account(self, account: str) -> bool:
        return bool(self.connection.rows(queries.has_account(self._journal.seen()), account=account))

    def accounts_of_source(self, source: str) -> list[str]:
        rows = self.connection.rows(queries.accounts_of_source(self._journal.seen()), source=source)
        return sorted(row[0] for row in rows)

    def settle(self, *, if_much: bool = False) -> None:
        """Nothing is put off: counts are by query."""

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()


# Runs that are read in the time that a question for the partitions takes.
_MUCH = 200_000
# Accounts of which one question is asked.
_PART = 1000


def _dated(days: Mapping[int, Counter[Outcome]]) -> dict[date, Counts]:
    return {day_of(day * DAY_US): Counts(dict(days[day])) for day in sorted(days) if days[day]}
