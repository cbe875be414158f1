"""Usage from the hourly counters: no question about usage scans events."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa

from metering.database import reading
from metering.outcome import Outcome
from metering.period import DAY_US, HOUR_US, Month, hour_of
from metering.store.names import Names
from metering.store.tables import accounts, labels, usage_hours
from metering.usage import Counts, GroupBy, Usage, Window, WindowSize


class Counters:
    """Reads `usage_hours`."""

    def __init__(self, engine: sa.Engine, names: Names) -> None:
        self._engine = engine
        self._names = names

    def usage(self, account: str, start: int, end: int, *, by: WindowSize, group_by: GroupBy | None) -> Usage:
        """See `EventStore.usage`."""
        check_hours(start, end)
        account_id = self._names.account_id(account)
        windows: dict[tuple[int, str | None], Counter[Outcome]] = defaultdict(Counter)
        if account_id is not None:
            with reading(self._engine) as connection:
                for row in connection.execute(_hours(account_id, start, end, group_by)):
                    key = (window_start(row.hour * HOUR_US, by), row.name)
                    windows[key][Outcome(row.outcome)] += row.quantity
        total: Counter[Outcome] = Counter()
        for counts in windows.values():
            total.update(counts)
        return Usage(
            account,
            start,
            end,
            _counts(total),
            tuple(
                _window(begin, name, group_by, counts)
                for (begin, name), counts in sorted(
                    windows.items(), key=lambda item: (item[0][0], item[0][1] or "")
                )
                if any(counts.values())
            ),
        )

    def by_account(self, start: int, end: int) -> dict[str, Counts]:
        """See `EventStore.counts_by_account`."""
        check_hours(start, end)
        query = (
            sa.select(
                accounts.c.account,
                usage_hours.c.outcome,
                sa.func.sum(usage_hours.c.quantity).label("quantity"),
            )
            .join(accounts, accounts.c.id == usage_hours.c.account_id)
            .where(usage_hours.c.hour >= hour_of(start), usage_hours.c.hour < hour_of(end))
            .group_by(accounts.c.account, usage_hours.c.outcome)
        )
        found: dict[str, Counter[Outcome]] = defaultdict(Counter)
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                found[row.account][Outcome(row.outcome)] += int(row.quantity)
        return {account: _counts(counts) for account, counts in sorted(found.items())}


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


def _hours(
    account_id: int, start: int, end: int, group_by: GroupBy | None
) -> sa.Select[tuple[int, str, int, int]]:
    name: sa.ColumnElement[Any] = (
        sa.null().label("name") if group_by is None else labels.c[group_by].label("name")
    )
    query = sa.select(
        usage_hours.c.hour, name, usage_hours.c.outcome, sa.func.sum(usage_hours.c.quantity).label("quantity")
    ).where(
        usage_hours.c.account_id == account_id,
        usage_hours.c.hour >= hour_of(start),
        usage_hours.c.hour < hour_of(end),
    )
    keys: list[sa.ColumnElement[object]] = [usage_hours.c.hour, usage_hours.c.outcome]
    if group_by is not None:
        query = query.join(labels, labels.c.id == usage_hours.c.label_id)
        keys.append(labels.c[group_by])
    return query.group_by(*keys)


def _counts(counts: Counter[Outcome]) -> Counts:
    return Counts({outcome: int(quantity) for outcome, quantity in counts.items() if quantity})


def _window(start: int, name: str | None, group_by: GroupBy | None, counts: Counter[Outcome]) -> Window:
    return Window(
        start,
        _counts(counts),
        workspace=name if group_by == "workspace" else None,
        flow=name if group_by == "flow" else None,
    )
