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

Span = tuple[int, int]
"""Instants on whole hours, or days: from the first, and before the last."""

_OF_ACCOUNT = "AND u.account_id = :first"
_OF_ACCOUNTS = "AND u.account_id BETWEEN :first AND :last"
# Asked in the same statement: nobody has to ask for the number before.
_NAMED = "AND u.account_id = (SELECT id FROM meter_accounts WHERE account = :first)"

_WIDTHS = {"hour": HOUR_US, "day": DAY_US}
# The numbers of the hours, or days, of all spans.
_NUMBERS = (
    "SELECT generate_series(s.low, s.high - 1)"
    " FROM unnest(CAST(:lows AS int[]), CAST(:highs AS int[])) s(low, high)"
)


class Hours:
    """Reads `usage_hours` and `usage_days`. Each method is one statement."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of_account(self, account: str, spans: Sequence[Span]) -> Iterator[tuple[int, str, int, int]]:
        """The start of each hour, no name, outcome and quantity, in one or several parts."""
        query = f"SELECT u.hour, u.outcome, u.quantity {self._from('hour', _NAMED)}"
        for hour, outcome, quantity in self._execute("hour", query, spans, account):
            yield hour * HOUR_US, "", outcome, quantity

    def days_of_account(self, account: str, spans: Sequence[Span]) -> Iterator[tuple[int, str, int, int]]:
        """The start of each day, no name, outcome and quantity: of the hours within, added up there."""
        day = f"u.hour / {DAY_US // HOUR_US}"
        query = f"SELECT {day}, u.outcome, sum(u.quantity) {self._from('hour', _NAMED)} GROUP BY 1, 2"
        for number, outcome, quantity in self._execute("hour", query, spans, account):
            yield number * DAY_US, "", outcome, int(quantity)

    def billable_days(self, account: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
        """Each day (since the epoch) and its billable runs."""
        billable = f"AND u.outcome = {int(Outcome.BILLABLE)}"
        day = f"u.hour / {DAY_US // HOUR_US}"
        query = f"SELECT {day}, sum(u.quantity) {self._from('hour', f'{_NAMED} {billable}')} GROUP BY {day}"
        for number, quantity in self._execute("hour", query, spans, account):
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
        for number, label, outcome, quantity in self._execute("day", query, [(start, end)], account_id):
            yield number * DAY_US, label, outcome, int(quantity)

    def billable_labels(self, account_id: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Each label and its billable runs, in a period on whole days."""
        billable = f"AND u.outcome = {int(Outcome.BILLABLE)}"
        query = (
            f"SELECT u.label_id, sum(u.quantity) {self._from('day', f'{_OF_ACCOUNT} {billable}')} GROUP BY 1"
        )
        for label_id, quantity in self._execute("day", query, [(start, end)], account_id):
            yield label_id, int(quantity)

    def by_day(self, account_ids: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Account, day (since the epoch), outcome and quantity; of some accounts between these, too."""
        columns = "u.account_id, u.day, u.outcome"
        query = f"SELECT {columns}, sum(u.quantity) {self._from('day', _OF_ACCOUNTS)} GROUP BY {columns}"
        for first, last in _stretches(account_ids):
            for account_id, day, outcome, quantity in self._execute(
                "day", query, [(start, end)], first, last
            ):
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
            # What is settled is looked up number by number; what was put off has no order, and is read.
            among = f"WHERE {unit} = ANY(ARRAY({_NUMBERS}))"
            settled = counted("postgresql", unit, among)
            return f"FROM {settled} u WHERE u.{unit} >= :low AND u.{unit} < :high {of}"
        # The hours lead, in a cross join: else all hours between the first and the last are read.
        return f"FROM json_each(:numbers) n CROSS JOIN usage_{unit}s u ON u.{unit} = n.value {of}"

    def _counted(self, unit: Literal["hour", "day"]) -> str:
        return counted(self._connection.dialect.name, unit)

    def _execute(
        self,
        unit: Literal["hour", "day"],
        query: str,
        spans: Sequence[Span],
        first: int | str,
        last: int | None = None,
    ) -> Sequence[Any]:
        """Of spans in order, between which the account has nothing."""
        if not spans:
            return []
        width = _WIDTHS[unit]
        lows, highs = [[each[place] // width for each in spans] for place in (0, 1)]
        given: dict[str, Any] = {"first": first, "last": last}
        if self._connection.dialect.name == "postgresql":
            given |= {"lows": lows, "highs": highs, "low": lows[0], "high": highs[-1]}
        else:
            numbers = [each for low, high in zip(lows, highs, strict=True) for each in range(low, high)]
            given["numbers"] = json.dumps(numbers)
        return self._connection.execute(sa.text(query), given).fetchall()


def _stretches(account_ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of accounts that lie together, of ids in order."""
    first = last = account_ids[0]
    for each in account_ids:
        if each - last > GAP:
            yield first, last
            first = each
        last = each
    yield first, last
