"""Small numbers for names that repeat: accounts, and (workspace, flow, source) of an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from metering.database import reading
from metering.event import TaskRunEvent
from metering.store.driver import Driver
from metering.store.tables import accounts, labels

# Beyond this many remembered names the memory is dropped and filled anew.
_MEMORY = 400_000
# Names that one query asks for.
_PART = 1000

Place = tuple[str, str, str, str]
"""Account, workspace, flow, source: what events of many runs have in common."""


class Label(NamedTuple):
    """What names a run within its account."""

    workspace: str
    flow: str
    source: str


class Names:
    """Numbers of accounts and labels. This process remembers those of the events it wrote; a remembered
    number never changes, and forgetting costs only a query."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._places: dict[Place, tuple[int, int]] = {}
        self._by_id: dict[int, Label] = {}

    def known(self, events: Sequence[TaskRunEvent]) -> list[tuple[int, int]] | None:
        """For each event the numbers of its account and of its label; None if one is not remembered."""
        known = self._places
        try:
            return [known[each.account, each.workspace, each.flow, each.source] for each in events]
        except KeyError:
            return None

    def learn(self, events: Sequence[TaskRunEvent], driver: Driver) -> list[tuple[int, int]]:
        """The same; what is not remembered is looked up, and what is new gets a number, in the transaction of
        `driver`. If that fails, call `forget`."""
        if len(self._places) > _MEMORY:
            self.forget()
        wanted = {(each.account, each.workspace, each.flow, each.source) for each in events}
        missing = [place for place in wanted if place not in self._places]
        names = sorted({(place[0],) for place in missing})
        ids = driver.numbers("meter_accounts", {"account": "text"}, names)
        columns = {"account_id": "int", "workspace": "text", "flow": "text", "source": "text"}
        rows = {(ids[place[:1]], *place[1:]): place for place in missing}
        for row, number in driver.numbers("meter_labels", columns, sorted(rows)).items():
            self._places[rows[row]] = (row[0], number)
            self._by_id[number] = Label(*row[1:])
        learned = self.known(events)
        assert learned is not None
        return learned

    def forget(self) -> None:
        """Drop what is remembered, for example since a transaction in which it was learned failed."""
        self._places, self._by_id = {}, {}

    def account_id(self, name: str) -> int | None:
        """The number of an account, or None if it was never metered."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(accounts.c.id).where(accounts.c.account == name))

    def account_ids(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of those accounts that were ever metered."""
        found: dict[str, int] = {}
        query = sa.select(accounts.c.account, accounts.c.id)
        with reading(self._engine) as connection:
            for start in range(0, len(names), _PART):
                part = names[start : start + _PART]
                rows = connection.execute(query.where(accounts.c.account.in_(part)))
                found.update({row.account: row.id for row in rows})
        return found

    def accounts_of_source(self, source: str) -> list[str]:
        """The accounts that have a label of this source, in order."""
        query = sa.select(accounts.c.account).join(labels, labels.c.account_id == accounts.c.id)
        with reading(self._engine) as connection:
            found = connection.scalars(query.where(labels.c.source == source).distinct())
            return sorted(found)

    def labels_of(self, account_id: int) -> dict[int, Label]:
        """All labels of an account by number."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(labels).where(labels.c.account_id == account_id))
            return {row.id: Label(row.workspace, row.flow, row.source) for row in rows}

    def label(self, label_id: int) -> Label:
        """The label of a number that a run carries."""
        label = self._by_id.get(label_id)
        if label is None:
            with reading(self._engine) as connection:
                row = connection.execute(sa.select(labels).where(labels.c.id == label_id)).one()
            label = self._by_id[label_id] = Label(row.workspace, row.flow, row.source)
        return label
