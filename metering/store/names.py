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

    def places(self, events: Sequence[TaskRunEvent]) -> list[Place]:
        """Where each event belongs, by name."""
        return [(each.account, each.workspace, each.flow, each.source) for each in events]

    def missing(self, places: Sequence[Place]) -> set[Place]:
        """Those that are not remembered."""
        known = self._places
        return {place for place in places if place not in known}

    def numbers(self, places: Sequence[Place]) -> list[tuple[int, int]]:
        """For each place, which must be remembered, the numbers of its account and of its label."""
        return list(map(self._places.__getitem__, places))

    def learn(self, missing: set[Place], driver: Driver) -> None:
        """Look up what is not remembered, and give what is new a number, in the transaction of `driver`. If
        that fails, call `forget`."""
        names = sorted({(place[0],) for place in missing})
        ids = driver.numbers("meter_accounts", {"account": "text"}, names)
        columns = {"account_id": "int", "workspace": "text", "flow": "text", "source": "text"}
        rows = {(ids[place[:1]], *place[1:]): place for place in missing}
        for row, number in driver.numbers("meter_labels", columns, sorted(rows)).items():
            self._places[rows[row]] = (row[0], number)
            self._by_id[number] = Label(*row[1:])

    def make_room(self) -> None:
        """Forget everything once it is much."""
        if len(self._places) > _MEMORY:
            self.forget()

    def forget(self) -> None:
        """Drop what is remembered, for example since a transaction in which it was learned failed."""
        self._places, self._by_id = {}, {}

    def account_id(self, name: str) -> int | None:
        """The number of an account, or None if it was never metered."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(accounts.c.id).where(accounts.c.account == name))

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
