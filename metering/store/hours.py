"""Reads the counters of hours and days. They lie by time and then by account, so each hour, or day, is looked
up by itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from metering.outcome import Outcome
from metering.period import DAY_US, HOUR_US
from metering.store.buckets import GAP
from metering.store.changes import counted

_OF_ACCOUNT = "AND u.account_id = :first"
_OF_ACCOUNTS = "AND u.account_id BETWEEN :first AND :last"

_WIDTHS = {"hour": HOUR_US, "day": DAY_US}


class Hours:
    """Reads `usage_hours` and `usage_days` in a transaction. Periods are on whole hours, or days."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of_account(self, account_id: int, start: int, end: int) -> Iterator[tuple[int, str, int, int]]:
        """The start of each hour, no name, outcome and quantity, in one or several parts."""
        query = f"SELECT u.hour, u.outcome, u.quantity {self._from('hour', _OF_ACCOUNT)}"
        for hour, outcome, quantity in self._execute("hour", query, start, end, account_id):
            yield hour * HOUR_US, "", outcome, quantity

    def days_of_account(self, account_id: int, start: int, end: int) -> Iterator[tuple[int, str, int, int]]:
        """The start of each day, no name, outcome and quantity: of the hours within, added up there."""
        day = f"u.hour / {DAY_US // HOUR_US}"
        query = f"SELECT {day}, u.outcome, sum(u.quantity) {self._from('hour', _OF_ACCOUNT)} GROUP BY 1, 2"
        for number, outcome, quantity in self._execute("hour", query, start, end, account_id):
            yield number * DAY_US, "", outcome, int(quantity)

    def billable_days(self, account_id: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Each day (since the epoch) and its billable runs."""
        billable = f"AND u.outcome = {int(Outcome.BILLABLE)}"
        day = f"u.hour / {DAY_US // HOUR_US}"
        query = (
            f"SELECT {day}, sum(u.quantity) {self._from('hour', f'{_OF_ACCOUNT} {billable}')} GROUP BY {day}"
        )
        for number, quantity in self._execute("hour", query, start, end, account_id):
            yield number, int(quantity)

    def labelled_days(
        self, account_id: int, start: int, end: int, *, together: bool = False
    ) -> Iterator[tuple[int, int, int, int]]:
        """The start of each day, a label's number, outcome and quantity; `together`: of the days as one,
        which begins at `start`. Names are put to the numbers by who asks: numbers are faster to add up."""
        day = f"{start // DAY_US}" if together else "u.day"
        query = (
            f"SELECT {day} AS day, u.label_id, u.outcome, sum(u.quantity) {self._from('day', _OF_ACCOUNT)}"
            " GROUP BY 1, 2, 3"
        )
        for number, label, outcome, quantity in self._execute("day", query, start, end, account_id):
            yield number * DAY_US, label, outcome, int(quantity)

    def billable_labels(self, account_id: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Each label and its billable runs, in a period on whole days."""
        billable = f"AND u.outcome = {int(Outcome.BILLABLE)}"
        query = (
            f"SELECT u.label_id, sum(u.quantity) {self._from('day', f'{_OF_ACCOUNT} {billable}')} GROUP BY 1"
        )
        for label_id, quantity in self._execute("day", query, start, end, account_id):
            yield label_id, int(quantity)

    def by_day(self, account_ids: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Account, day (since the epoch), outcome and quantity; of some accounts between these, too."""
        columns = "u.account_id, u.day, u.outcome"
        query = f"SELECT {columns}, sum(u.quantity) {self._from('day', _OF_ACCOUNTS)} GROUP BY {columns}"
        for first, last in _stretches(account_ids):
            for account_id, day, outcome, quantity in self._execute("day", query, start, end, first, last):
                yield account_id, day, outcome, int(quantity)

    def by_account(self, start: int, end: int) -> dict[str, dict[Outcome, int]]:
        """Quantities of every account by outcome, in the order of the names."""
        query = (
            f"SELECT a.account, u.outcome, sum(u.quantity) FROM {self._counted('hour')} u"  # noqa: S608
            " JOIN meter_accounts a ON a.id = u.account_id WHERE u.hour >= :start AND u.hour < :end"
            " GROUP BY a.account, u.outcome"
        )
        found: dict[str, dict[Outcome, int]] = defaultdict(dict)
        given = {"start": start // HOUR_US, "end": end // HOUR_US}
        for account, outcome, quantity in self._connection.execute(sa.text(query), given):
            found[account][Outcome(outcome)] = int(quantity)
        return dict(sorted(found.items()))

    def _from(self, unit: Literal["hour", "day"], of: str) -> str:
        if self._connection.dialect.name == "postgresql":
            return f"FROM {self._counted(unit)} u WHERE u.{unit} = ANY(CAST(:numbers AS int[])) {of}"
        # The hours lead, in a cross join: else all hours between the first and the last are read.
        return f"FROM json_each(:numbers) n CROSS JOIN {self._counted(unit)} u ON u.{unit} = n.value {of}"

    def _counted(self, unit: Literal["hour", "day"]) -> str:
        return counted(self._connection.dialect.name, unit)

    def _execute(
        self,
        unit: Literal["hour", "day"],
        query: str,
        start: int,
        end: int,
        first: int,
        last: int | None = None,
    ) -> Iterator[Any]:
        numbers = list(range(start // _WIDTHS[unit], end // _WIDTHS[unit]))
        postgres = self._connection.dialect.name == "postgresql"
        given = {"numbers": numbers if postgres else json.dumps(numbers), "first": first, "last": last}
        return iter(self._connection.execute(sa.text(query), given).fetchall())


def _stretches(account_ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of accounts that lie together, of ids in order."""
    first = last = account_ids[0]
    for each in account_ids:
        if each - last > GAP:
            yield first, last
            first = each
        last = each
    yield first, last
