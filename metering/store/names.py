"""Small numbers for names that repeat: accounts, and (workspace, flow, source) of an account.

Names are kept in a transaction of their own, before the events that use them: a name without events is
harmless, and writers then never wait for one another while holding the locks of events and counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metering.database import reading, writing
from metering.event import TaskRunEvent
from metering.store.tables import accounts, labels

# Beyond this many remembered names the memory is dropped and filled anew.
_MEMORY = 200_000


Place = tuple[str, str, str, str]
"""Account, workspace, flow, source: what events of many runs have in common."""


class Label(NamedTuple):
    """What names a run within its account."""

    workspace: str
    flow: str
    source: str


class Names:
    """Numbers of accounts and labels, remembered in this process. Safe to use from several threads: a
    remembered number never changes, and forgetting costs only a query."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._accounts: dict[str, int] = {}
        self._places: dict[Place, tuple[int, int]] = {}
        self._labels: dict[tuple[int, Label], int] = {}
        self._by_id: dict[int, Label] = {}

    def places(self, events: Sequence[TaskRunEvent]) -> list[tuple[int, int]]:
        """For each event the numbers of its account and of its label; those not seen before get one."""
        wanted = [(event.account, event.workspace, event.flow, event.source) for event in events]
        known = self._places
        try:
            return [known[place] for place in wanted]
        except KeyError:
            if len(known) > _MEMORY:
                self._places = known = {}
        missing = {place for place in wanted if place not in known}
        ids = self.account_ids(place[0] for place in missing)
        labels = {place: (ids[place[0]], Label(*place[1:])) for place in missing}
        numbers = self.label_ids(set(labels.values()))
        known.update({place: (key[0], numbers[key]) for place, key in labels.items()})
        return self.places(events)

    def account_ids(self, names: Iterable[str]) -> dict[str, int]:
        """The numbers of these accounts; those not seen before get one."""
        if len(self._accounts) > _MEMORY:
            self._accounts = {}
        wanted = set(names)
        missing = sorted(wanted - self._accounts.keys())
        if missing:
            with writing(self._engine) as connection:
                insert = self._insert(accounts).on_conflict_do_nothing()
                connection.execute(insert, [{"account": name} for name in missing])
                for part in _parts(missing):
                    query = sa.select(accounts).where(accounts.c.account.in_(part))
                    found = {row.account: row.id for row in connection.execute(query)}
                    self._accounts.update(found)
        return {name: self._accounts[name] for name in wanted}

    def account_id(self, name: str) -> int | None:
        """The number of an account, or None if it was never metered."""
        known = self._accounts.get(name)
        if known is None:
            with reading(self._engine) as connection:
                known = connection.scalar(sa.select(accounts.c.id).where(accounts.c.account == name))
        return known

    def label_ids(self, wanted: set[tuple[int, Label]]) -> dict[tuple[int, Label], int]:
        """The numbers of these labels of accounts; those not seen before get one."""
        if len(self._labels) > _MEMORY:
            self._labels, self._by_id = {}, {}
        missing = sorted(wanted - self._labels.keys())
        if missing:
            rows = [{"account_id": account_id, **label._asdict()} for account_id, label in missing]
            insert = self._insert(labels).on_conflict_do_nothing().returning(*labels.columns)
            with writing(self._engine) as connection:
                self._remember(connection.execute(insert, rows))
                # What another process gave a number to meanwhile.
                for account_id in sorted({key[0] for key in missing if key not in self._labels}):
                    query = sa.select(labels).where(labels.c.account_id == account_id)
                    self._remember(connection.execute(query))
        return {key: self._labels[key] for key in wanted}

    def labels_of(self, account_id: int) -> dict[int, Label]:
        """All labels of an account by number."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(labels).where(labels.c.account_id == account_id))
            return {row.id: Label(row.workspace, row.flow, row.source) for row in rows}

    def label(self, label_id: int) -> Label:
        """The label of a number that a run carries."""
        if label_id not in self._by_id:
            with reading(self._engine) as connection:
                self._remember(connection.execute(sa.select(labels).where(labels.c.id == label_id)))
        return self._by_id[label_id]

    def _remember(self, rows: Iterable[sa.Row[tuple[int, int, str, str, str]]]) -> None:
        for row in rows:
            label = Label(row.workspace, row.flow, row.source)
            self._labels[(row.account_id, label)] = row.id
            self._by_id[row.id] = label


def _parts(items: list[str], size: int = 1000) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
