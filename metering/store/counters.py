"""Usage from the counters: no question about usage scans events."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date

import sqlalchemy as sa

from metering.database import asking, reading
from metering.outcome import Outcome
from metering.period import DAY_US, HOUR_US, Month, day_of
from metering.store.buckets import month_number, month_numbered
from metering.store.hours import Hours, Span
from metering.store.listed import named_hours
from metering.store.month_totals import MonthTotals
from metering.store.names import Names
from metering.store.question import EVERY_COMMIT, Question
from metering.usage import Counts, GroupBy, Usage, WindowSize, group_name, group_window

# Every hour of a period that is no longer is looked for; of a longer one, those of the months that have runs.
SHORT = 62 * DAY_US

_OUTCOMES = {int(outcome): outcome for outcome in Outcome}


class Counters:
    """Reads the counters that answer with the fewest rows."""

    def __init__(self, engine: sa.Engine, names: Names) -> None:
        self._engine = engine
        self._names = names

    def usage(self, account: str, start: int, end: int, *, by: WindowSize, group_by: GroupBy | None) -> Usage:
        """See `EventStore.usage`."""
        check_hours(start, end)
        windows = _windows(self._counted(account, start, end, by, group_by), by)
        return Usage(
            account,
            start,
            end,
            _sum(windows.values()),
            tuple(
                group_window(begin, name, group_by, _counts(counts))
                for (begin, name), counts in sorted(windows.items())
                if any(counts.values())
            ),
        )

    def _counted(
        self, account: str, start: int, end: int, by: WindowSize, group_by: GroupBy | None
    ) -> Iterator[_Counted]:
        if group_by is not None:
            yield from self._of_groups(account, start, end, by, group_by)
        elif by == "month" and _whole_months(start, end):
            with self._asking(start, end) as connection:
                for number, outcome, quantity in MonthTotals(connection).by_month(account, start, end):
                    yield month_numbered(number).start, "", outcome, quantity
        else:
            with self._asking(start, end) as connection:
                hours, spans = Hours(connection), _spans(connection, account, start, end)
                read = hours.of_account if by == "hour" else hours.days_of_account
                yield from read(account, spans)

    def _of_groups(
        self, account: str, start: int, end: int, by: WindowSize, group_by: GroupBy
    ) -> Iterator[_Counted]:
        account_id = self._names.account_id(account)
        if account_id is None:
            return
        with reading(self._engine) as connection:
            for number in MonthTotals(connection).months_of(account, start, end):
                month = month_numbered(number)
                within = max(start, month.start), min(end, month.end)
                yield from self._named(connection, account_id, *within, by, group_by)

    def _asking(self, start: int, end: int) -> AbstractContextManager[sa.Connection]:
        """For one statement, where the period is short; else for those that find out where to look, too."""
        return asking(self._engine) if end - start <= SHORT else reading(self._engine)

    def _named(
        self,
        connection: sa.Connection,
        account_id: int,
        start: int,
        end: int,
        by: WindowSize,
        group_by: GroupBy,
    ) -> Iterator[_Counted]:
        """Whole days from their counters, and hours, or those of days that are cut, from the runs."""
        first, last = start + -start % DAY_US, end - end % DAY_US
        if by == "hour" or first >= last:
            first = last = end
        labels = self._names.labels_of(account_id)
        names = {number: group_name(group_by, each.workspace, each.flow) for number, each in labels.items()}
        for cut in ((start, first), (last, end)):
            if cut[0] < cut[1]:
                asked = Question(*cut, EVERY_COMMIT)
                rows = named_hours(
                    connection,
                    account_id,
                    names,
                    asked,
                    lambda run: group_name(group_by, run.workspace, run.flow),
                )
                yield from rows
        if first < last:
            days = Hours(connection).labelled_days(account_id, first, last, together=by == "month")
            for begin, number, outcome, quantity in days:
                if number not in names:  # it was learned since
                    label = self._names.label(number)
                    names[number] = group_name(group_by, label.workspace, label.flow)
                yield begin, names[number], outcome, quantity

    def billable_days(self, account: str, start: int, end: int) -> dict[date, int]:
        """See `EventStore.billable_days`."""
        with self._asking(start, end) as connection:
            days = Hours(connection).billable_days(account, _spans(connection, account, start, end))
            return {day_of(day * DAY_US): quantity for day, quantity in days if quantity}

    def billable_in(self, account: str, periods: Sequence[Span]) -> list[int]:
        """See `EventStore.billable_in`."""
        whole = [period for period in periods if _is_month(*period)]
        parts = [period for period in periods if period not in whole]
        found: dict[Span, int] = defaultdict(int)
        with asking(self._engine) as connection:
            if whole:
                months = MonthTotals(connection).billable(
                    account, [month_number(start) for start, _ in whole]
                )
                found |= {period: months.get(month_number(period[0]), 0) for period in whole}
            if parts:
                starts = [start for start, _ in parts]
                for day, quantity in Hours(connection).billable_days(account, parts):
                    found[parts[bisect_right(starts, day * DAY_US) - 1]] += quantity
        return [found[period] for period in periods]

    def by_account(self, start: int, end: int) -> dict[str, Counts]:
        """See `EventStore.counts_by_account`."""
        check_hours(start, end)
        with reading(self._engine) as connection:
            if _whole_months(start, end):
                found: Mapping[str, dict[Outcome, int]] = MonthTotals(connection).by_account(start, end)
            else:
                found = Hours(connection).by_account(start, end)
        return {account: _counts(counts) for account, counts in found.items()}

    def days_of(
        self, since: Mapping[int, int], end: int, cutoff: int
    ) -> tuple[dict[int, dict[date, Counts]], set[int]]:
        """The counts of each day from an instant of each account's own on, as of a cutoff; and the accounts
        of which that is not known, because runs of those months were committed since."""
        found: dict[int, dict[int, dict[Outcome, int]]] = {each: defaultdict(dict) for each in since}
        start = min(since.values())
        with reading(self._engine) as connection:
            totals = MonthTotals(connection)
            changed = totals.changed(list(since), start, end, cutoff)
            months = totals.held(start, end)
            if months:
                bounds = max(start, month_numbered(months[0]).start), min(end, month_numbered(months[-1]).end)
                for account_id, day, outcome, quantity in Hours(connection).by_day(sorted(since), *bounds):
                    if quantity and account_id in found and day * DAY_US >= since[account_id]:
                        found[account_id][day][_OUTCOMES[outcome]] = int(quantity)
        dates = {number: day_of(number * DAY_US) for days in found.values() for number in days}
        return {
            account_id: {dates[number]: Counts(days[number]) for number in sorted(days)}
            for account_id, days in found.items()
            if account_id not in changed
        }, changed


_Key = tuple[int, str]
"""Where a window begins, and its group."""


_Counted = tuple[int, str, int, int]
"""Runs of an hour, day or month: its start, the name of their group, their outcome, how many."""


def _spans(connection: sa.Connection, account: str, start: int, end: int) -> list[Span]:
    """The parts of a period in which an account may have runs."""
    if end - start <= SHORT:
        return [(start, end)]
    months = map(month_numbered, MonthTotals(connection).months_of(account, start, end))
    return [(max(start, month.start), min(end, month.end)) for month in months]


def _windows(counted: Iterable[_Counted], by: WindowSize) -> dict[_Key, dict[Outcome, int]]:
    windows: dict[_Key, dict[Outcome, int]] = {}
    starts: dict[int, int] = {}
    for instant, name, outcome, quantity in counted:
        begin = starts.get(instant)
        if begin is None:
            begin = starts[instant] = window_start(instant, by)
        counts = windows.setdefault((begin, name), {})
        known = _OUTCOMES[outcome]
        counts[known] = counts.get(known, 0) + quantity
    return windows


def _is_month(start: int, end: int) -> bool:
    month = Month.of(start)
    return (month.start, month.end) == (start, end)


def _sum(every: Iterable[Mapping[Outcome, int]]) -> Counts:
    total: dict[Outcome, int] = {}
    for counts in every:
        for outcome, quantity in counts.items():
            total[outcome] = total.get(outcome, 0) + quantity
    return _counts(total)


def _whole_months(start: int, end: int) -> bool:
    return all(Month.of(instant).start == instant for instant in (start, end))


def check_hours(start: int, end: int) -> None:
    """Raises ValueError unless both instants are on whole hours and in order."""
    for name, instant in (("from", start), ("to", end)):
        if instant % HOUR_US:
            raise ValueError(f"{name} must be on a whole hour, for example 2026-10-03T02:00:00Z")
    if end < start:
        raise ValueError("to must not be before from")


def window_start(instant: int, by: WindowSize) -> int:
    """The start of the window of this size that holds the instant."""
    if by == "month":
        return Month.of(instant).start
    return instant - instant % (HOUR_US if by == "hour" else DAY_US)


def _counts(counts: Mapping[Outcome, int]) -> Counts:
    return Counts({outcome: int(quantity) for outcome, quantity in counts.items() if quantity})
