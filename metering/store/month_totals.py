"""The counters of whole months: who has runs, how many, and since when they are as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from metering.outcome import Outcome
from metering.store.buckets import month_number
from metering.store.changes import CHANGED_MONTHS, counted_months
from metering.store.tables import accounts, usage_months

# Accounts that one query asks for.
_ACCOUNTS = 1000
_FEW = 24

_MONTH = usage_months.c.month
# Two sub-queries, each answered by the index: of min() and max() together SQLite reads all rows.
_ENDS = sa.select(
    *(sa.select(_MONTH).order_by(end).limit(1).scalar_subquery() for end in (_MONTH, _MONTH.desc()))
)


class MonthTotals:
    """Reads `usage_months`. Periods are of whole months: those that touch `[start, end)`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._counted = counted_months(connection.dialect.name)

    def held(self, start: int, end: int) -> list[int]:
        """The numbers of the period's months, from the first that anybody has runs in to the last."""
        if start >= end or (bounds := self._bounds()) is None:
            return []
        first, last = bounds
        return list(range(max(first, month_number(start)), min(last, month_number(end - 1)) + 1))

    def _bounds(self) -> tuple[int, int] | None:
        """Each from an end of the index, and from what is not in it yet."""
        ends = list(self._connection.execute(_ENDS).one())
        if self._counted is not usage_months:
            ends += self._connection.execute(sa.text(CHANGED_MONTHS)).one()
        found = [each for each in ends if each is not None]
        return (min(found), max(found)) if found else None

    def accounts(self, start: int, end: int) -> list[str]:
        """The accounts that have, or once had, runs in the period, in the order of their numbers."""
        numbers = sa.select(self._counted.c.account_id).where(self._within(start, end)).distinct()
        query = sa.select(accounts.c.account).where(accounts.c.id.in_(numbers)).order_by(accounts.c.id)
        return list(self._connection.scalars(query))

    def having(self, names: Sequence[str], start: int, end: int) -> set[str]:
        """Those of some accounts that have runs in the period now."""
        found: set[str] = set()
        query = sa.select(accounts.c.account).join(self._counted, self._counted.c.account_id == accounts.c.id)
        query = query.where(self._within(start, end)).group_by(accounts.c.account)
        query = query.having(sa.func.sum(self._counted.c.quantity) > 0)
        for at in range(0, len(names), _ACCOUNTS):
            found.update(
                self._connection.scalars(query.where(accounts.c.account.in_(names[at : at + _ACCOUNTS])))
            )
        return found

    def runs(self, account_ids: Sequence[int], start: int, end: int) -> dict[int, int]:
        """How many runs accounts have in the period now, and those whose numbers are between theirs; who
        never had any is left out."""
        if not account_ids:
            return {}
        number = self._counted.c.account_id
        within = self._within(start, end), number.between(min(account_ids), max(account_ids))
        query = sa.select(number, sa.func.sum(self._counted.c.quantity)).where(*within).group_by(number)
        return {account_id: int(quantity) for account_id, quantity in self._connection.execute(query)}

    def by_account(self, start: int, end: int) -> dict[str, dict[Outcome, int]]:
        """Quantities of each account by outcome, in the order of the names."""
        found: dict[str, dict[Outcome, int]] = defaultdict(dict)
        keys = (accounts.c.account, self._counted.c.outcome)
        query = sa.select(*keys, sa.func.sum(self._counted.c.quantity)).group_by(*keys)
        query = query.join(accounts, accounts.c.id == self._counted.c.account_id).where(
            self._within(start, end)
        )
        for account, outcome, quantity in self._connection.execute(query):
            found[account][Outcome(outcome)] = int(quantity)
        return dict(sorted(found.items()))

    def by_month(self, account: str, start: int, end: int) -> list[tuple[int, int, int]]:
        """Month number, outcome and quantity of one account, in one or several parts."""
        query = sa.select(self._counted.c.month, self._counted.c.outcome, self._counted.c.quantity)
        query = query.where(self._within(start, end), self._of(account))
        return [(month, outcome, quantity) for month, outcome, quantity in self._connection.execute(query)]

    def billable(self, account: str, months: Sequence[int]) -> dict[int, int]:
        """The billable runs of an account in each of some months, by their numbers, that has any."""
        number, outcome = self._counted.c.month, self._counted.c.outcome
        query = sa.select(number, sa.func.sum(self._counted.c.quantity)).group_by(number)
        query = query.where(number.in_(months), self._of(account), outcome == int(Outcome.BILLABLE))
        return {month: int(quantity) for month, quantity in self._connection.execute(query)}

    def months_of(self, account: str, start: int, end: int) -> list[int]:
        """The numbers of the months in which an account has, or once had, runs."""
        number = self._counted.c.month
        query = sa.select(number).where(self._within(start, end), self._of(account))
        return list(self._connection.scalars(query.distinct().order_by(number)))

    def changed(self, account_ids: Sequence[int], start: int, end: int, cutoff: int) -> set[int]:
        """Those of some accounts whose runs of the period were changed by a commit after the cutoff."""
        found: set[int] = set()
        number = self._counted.c.account_id
        query = (
            sa.select(number).where(self._within(start, end), self._counted.c.position > cutoff).distinct()
        )
        for at in range(0, len(account_ids), _ACCOUNTS):
            found.update(self._connection.scalars(query.where(number.in_(account_ids[at : at + _ACCOUNTS]))))
        return found

    def _of(self, account: str) -> sa.ColumnElement[bool]:
        named = sa.select(accounts.c.id).where(accounts.c.account == account)
        return self._counted.c.account_id == named.scalar_subquery()

    def _within(self, start: int, end: int) -> sa.ColumnElement[bool]:
        """Month by month: each leads to the rows of an account at once. Of a few it does not matter whether
        anybody has runs in them."""
        if start >= end:
            return sa.false()
        few = range(month_number(start), month_number(end - 1) + 1)
        return self._counted.c.month.in_(few if len(few) <= _FEW else self.held(start, end))
