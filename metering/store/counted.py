"""What the hourly counters say of many accounts at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

import sqlalchemy as sa

from metering.outcome import Outcome
from metering.period import DAY_US, HOUR_US, day_of, hour_of
from metering.store.tables import accounts, commits, usage_hours
from metering.usage import Counts

_HOURS: sa.ColumnElement[int] = sa.literal_column(str(DAY_US // HOUR_US))

_OUTCOMES = {int(outcome): outcome for outcome in Outcome}


def accounts_in(connection: sa.Connection, start: int, end: int) -> set[str]:
    """The accounts that have, or once had, task runs in the period. Looks once an account."""
    return set(connection.scalars(sa.select(accounts.c.account).where(_counted(start, end))))


def accounts_with_runs(connection: sa.Connection, names: Sequence[str], start: int, end: int) -> set[str]:
    """Those of some accounts that have task runs in the period now."""
    held = _counted(start, end).where(usage_hours.c.quantity > 0)
    query = sa.select(accounts.c.account).where(accounts.c.account.in_(names), held)
    return set(connection.scalars(query))


def _counted(start: int, end: int) -> sa.Exists:
    return sa.exists().where(
        usage_hours.c.account_id == accounts.c.id,
        usage_hours.c.hour >= hour_of(start),
        usage_hours.c.hour < hour_of(end),
    )


def billable_days(connection: sa.Connection, name: str, start: int, end: int) -> dict[date, int]:
    """The billable runs of each day of one account's, now."""
    day = (usage_hours.c.hour // _HOURS).label("day")
    number = sa.select(accounts.c.id).where(accounts.c.account == name).scalar_subquery()
    query = sa.select(day, sa.func.sum(usage_hours.c.quantity).label("quantity")).where(
        usage_hours.c.account_id == number,
        usage_hours.c.hour >= hour_of(start),
        usage_hours.c.hour < hour_of(end),
        usage_hours.c.outcome == int(Outcome.BILLABLE),
    )
    rows = connection.execute(query.group_by(day))
    return {day_of(row.day * DAY_US): int(row.quantity) for row in rows if row.quantity}


def days_as_of(
    connection: sa.Connection, since: Mapping[int, int], end: int, cutoff: int
) -> dict[int, dict[date, Counts]] | None:
    """The counts of each day from an instant of each account's own on, as of a cutoff; None if events were
    committed since: the counters know only what holds now. `connection` reads one snapshot."""
    last = connection.scalar(sa.select(sa.func.max(commits.c.position))) or 0
    if last > cutoff:
        return None
    found: dict[int, dict[int, dict[Outcome, int]]] = {each: defaultdict(dict) for each in since}
    day = (usage_hours.c.hour // _HOURS).label("day")
    query = (
        sa.select(
            usage_hours.c.account_id,
            day,
            usage_hours.c.outcome,
            sa.func.sum(usage_hours.c.quantity).label("quantity"),
        )
        .where(
            usage_hours.c.account_id.in_(list(since)),
            usage_hours.c.hour >= hour_of(min(since.values())),
            usage_hours.c.hour < hour_of(end),
        )
        .group_by(usage_hours.c.account_id, day, usage_hours.c.outcome)
        .having(sa.func.sum(usage_hours.c.quantity) > 0)
        .order_by(day)
    )
    for account_id, number, outcome, quantity in connection.execute(query):
        found[account_id][number][_OUTCOMES[outcome]] = int(quantity)
    dates = {number: day_of(number * DAY_US) for days in found.values() for number in days}
    return {
        account_id: {
            dates[number]: Counts(counts)
            for number, counts in days.items()
            if number * DAY_US >= since[account_id]
        }
        for account_id, days in found.items()
    }
