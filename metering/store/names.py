"""Small numbers for names that repeat: accounts, and (workspace, flow, source) of an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from metering.database import reading
from metering.store.tables import accounts, labels

if TYPE_CHECKING:
    from metering.store.driver import Driver

# Beyond this many remembered names the memory is dropped and filled anew.
_MEMORY = 200_000
# Names that one query asks for.
_PART = 1000

Place = tuple[str, str, str, str]
"""Account, workspace, flow, source: what events of many runs have in common."""


class Label(NamedTuple):
    """What names a run within its account."""

    workspace: str
    flow: str
    source: str


class Known(NamedTuple):
    """Numbers of accounts and labels, by their names, and labels by their number."""

    places: dict[Place, tuple[int, int]]
    labels: dict[int, Label]


NOTHING = Known({}, {})


class Names:
    """Numbers of accounts and labels. This process remembers those of the events it wrote; a remembered
    number never changes, and forgetting costs only a query. What a transaction learns is remembered once it
    is committed: another writer must not use a number that may never be."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._known = Known({}, {})

    def known(self) -> Known:
        """What is remembered. It only grows; once it is much, it begins anew."""
        if max(len(self._known.places), len(self._known.labels)) > _MEMORY:
            self._known = Known({}, {})
        return self._known

    def learn(self, missing: set[Place], driver: Driver) -> Known:
        """Look up what is not remembered, and give what is new a number, in the transaction of `driver`."""
        learned = Known({}, {})
        names = sorted({(place[0],) for place in missing})
        ids = driver.numbers("meter_accounts", {"account": "text"}, names)
        columns = {"account_id": "int", "workspace": "text", "flow": "text", "source": "text"}
        rows = {(ids[place[:1]], *place[1:]): place for place in missing}
        for row, number in driver.numbers("meter_labels", columns, sorted(rows)).items():
            learned.places[rows[row]] = (row[0], number)
            learned.labels[number] = Label(*row[1:])
        return learned

    def remember(self, learned: Known) -> None:
        """What was learned is committed."""
        self._known.places.update(learned.places)
        self._known.labels.update(learned.labels)

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
        label = self._known.labels.get(label_id)
        if label is None:
            with reading(self._engine) as connection:
                row = connection.execute(sa.select(labels).where(labels.c.id == label_id)).one()
            label = self._known.labels[label_id] = Label(row.workspace, row.flow, row.source)
        return label
