"""Reads the hourly counters. They lie by hour and then by account, so each hour is looked up by itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from metering.outcome import Outcome
from metering.period import DAY_US, HOUR_US
from metering.usage import GroupBy

# Accounts that lie between others, and are read with them, though nobody asked.
_GAP = 20
_DAY = f"u.hour / {DAY_US // HOUR_US}"

_OF_ACCOUNT = "AND u.account_id = :first"
_OF_ACCOUNTS = "AND u.account_id BETWEEN :first AND :last"


class Hours:
    """Reads `usage_hours` in a transaction. Periods are on whole hours."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of_account(
        self, account_id: int, start: int, end: int, group_by: GroupBy | None
    ) -> Iterator[tuple[int, str | None, int, int]]:
        """The start of each hour, its workspace or flow if asked for, outcome and quantity."""
        name, join, keys = "NULL", "", "u.hour, u.outcome"
        if group_by is not None:
            name, keys = f"l.{group_by}", f"{keys}, l.{group_by}"
            join = "JOIN meter_labels l ON l.id = u.label_id"
        columns = f"u.hour, {name}, u.outcome, sum(u.quantity)"
        query = f"SELECT {columns} {self._from(_OF_ACCOUNT, join)} GROUP BY {keys}"
        for hour, named, outcome, quantity in self._execute(query, start, end, account_id):
            yield hour * HOUR_US, named, outcome, int(quantity)

    def by_day(self, account_ids: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Account, day (since the epoch), outcome and quantity; of some accounts between these, too."""
        columns = f"u.account_id, {_DAY}, u.outcome"
        query = f"SELECT {columns}, sum(u.quantity) {self._from(_OF_ACCOUNTS)} GROUP BY {columns}"
        for first, last in _stretches(account_ids):
            for account_id, day, outcome, quantity in self._execute(query, start, end, first, last):
                yield account_id, day, outcome, int(quantity)

    def by_account(self, start: int, end: int) -> dict[str, dict[Outcome, int]]:
        """Quantities of every account by outcome, in the order of the names."""
        query = (
            "SELECT a.account, u.outcome, sum(u.quantity) FROM usage_hours u"
            " JOIN meter_accounts a ON a.id = u.account_id WHERE u.hour >= :start AND u.hour < :end"
            " GROUP BY a.account, u.outcome"
        )
        found: dict[str, dict[Outcome, int]] = defaultdict(dict)
        given = {"start": start // HOUR_US, "end": end // HOUR_US}
        for account, outcome, quantity in self._connection.execute(sa.text(query), given):
            found[account][Outcome(outcome)] = int(quantity)
        return dict(sorted(found.items()))

    def _from(self, of: str, join: str = "") -> str:
        if self._connection.dialect.name == "postgresql":
            return f"FROM usage_hours u {join} WHERE u.hour = ANY(CAST(:hours AS int[])) {of}"
        # The hours lead, in a cross join: else all hours between the first and the last are read.
        return f"FROM json_each(:hours) h CROSS JOIN usage_hours u ON u.hour = h.value {of} {join}"

    def _execute(
        self, query: str, start: int, end: int, first: int, last: int | None = None
    ) -> Iterator[Any]:
        hours = list(range(start // HOUR_US, end // HOUR_US))
        postgres = self._connection.dialect.name == "postgresql"
        given = {"hours": hours if postgres else json.dumps(hours), "first": first, "last": last}
        return iter(self._connection.execute(sa.text(query), given))


def _stretches(account_ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of accounts that lie together, of ids in order."""
    first = last = account_ids[0]
    for each in account_ids:
        if each - last > _GAP:
            yield first, last
            first = each
        last = each
    yield first, last
