"""One append to the SQL store: which events are new, which are duplicates, which revise a run, and what
that changes in the counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from metering.outcome import Action
from metering.store.batch import Batch, Integers, in_key_order
from metering.store.correcting import change, holds, key_of, last_actions
from metering.store.counts import Change, Changes, months_of
from metering.store.driver import Driver, RevisionRow, RunKey, RunRow
from metering.store.names import Label
from metering.store.run_key import BUCKET_SHIFT


class Appended(NamedTuple):
    """Which events were accepted, and the months and buckets that are noted from this commit on."""

    accepted: list[bool]
    buckets: set[tuple[int, int]]


class Append:
    """Works on one open transaction. `run` answers what became of each event."""

    def __init__(
        self, driver: Driver, label_of: Callable[[int], Label], batch: Batch, noted: set[tuple[int, int]]
    ) -> None:
        self._driver = driver
        self._label_of = label_of
        self._batch = batch
        self._noted = noted
        self._order = in_key_order(batch)
        # How the counts of held runs change; and what holds of a new run that several events speak of.
        self._moved: list[Change] = []
        self._decided: dict[int, RunRow | RevisionRow] = {}
        # The corrections of runs that have any.
        self._actions: dict[RunKey, Action] = {}

    def run(self, now: int) -> Appended:
        """Every event is new, until it is found to be another one's sibling."""
        position = self._driver.next_position()
        leads, lead = self._order
        held = self._driver.insert_runs(self._batch, leads, position)
        is_held = np.zeros(len(lead), dtype=bool)
        is_held[held.places] = True
        accepted = (lead == np.arange(len(lead))) & ~is_held
        if not accepted.all():
            first_said = self._batch.fingerprint.copy()
            first_said[held.places] = held.fingerprints
            differing = np.flatnonzero(~accepted & (self._batch.fingerprint != first_said[lead]))
            if len(differing):
                accepted[self._revise(position, lead, is_held, differing.tolist())] = True
        if not accepted.any():
            return Appended(accepted.tolist(), set())
        with self._driver.together():
            buckets = self._count(leads[~is_held[leads]], position)
            self._driver.record_commit(position, now)
        return Appended(accepted.tolist(), buckets)

    def _count(self, new: Integers, position: int) -> set[tuple[int, int]]:
        batch = self._batch
        plain = new[~np.isin(new, list(self._decided))] if self._decided else new
        said = (batch.ended_at[plain], batch.account_id[plain], batch.label_id[plain], batch.outcome[plain])
        decided = [change(row, 1) for row in self._decided.values()]
        changes = Changes(*said, np.ones(len(plain), dtype=np.int64)).and_also(self._moved + decided)
        if len(changes.quantity):
            self._driver.count(changes, position)
        pairs = np.unique((months_of(batch.ended_at[new]) << _BUCKET_BITS) + batch.bucket[new])
        found = {(pair >> _BUCKET_BITS, pair & (1 << _BUCKET_BITS) - 1) for pair in pairs.tolist()}
        unknown = found - self._noted
        if unknown:
            self._driver.note_buckets(sorted(unknown))
        return unknown

    def _revise(self, position: int, lead: Integers, is_held: Integers, differing: list[int]) -> list[int]:
        """Keep events that say something else of a run than those held, and move its count accordingly.
        Answers those that nobody had said before."""
        said: dict[int, list[int]] = defaultdict(list)
        for place in differing:
            said[int(lead[place])].append(place)
        known = self._known(position, said, is_held)
        added: list[RevisionRow] = []
        accepted: list[int] = []
        for first in sorted(said, key=self._key):
            held = known[first]
            before = self._holds(first, held)
            for place in said[first]:
                new = self._revision(place, position)
                if new.fingerprint not in held:
                    held[new.fingerprint] = new
                    added.append(new)
                    accepted.append(place)
            after = self._holds(first, held)
            if after != before and is_held[first]:
                self._moved += [change(before, -1), change(after, 1)]
            elif after != before:
                self._decided[first] = after
        if added:
            self._driver.insert_revisions(added)
        return accepted

    def _known(
        self, position: int, said: dict[int, list[int]], is_held: Integers
    ) -> dict[int, dict[int, RunRow | RevisionRow]]:
        """What is held of each run, by its fingerprint; runs by the place of their first event."""
        places = {self._key(first): first for first in said if is_held[first]}
        known: dict[int, dict[int, RunRow | RevisionRow]] = {
            first: {row.fingerprint: row}
            for first in said
            if not is_held[first]
            for row in [self._run_row(first, position)]
        }
        rows = list(self._driver.held_runs(sorted(places))) if places else []
        for row in rows:
            known[places[key_of(row)]] = {row.fingerprint: row}
        revised = [key_of(row) for row in rows if row.revised]
        for old in self._driver.held_revisions(revised) if revised else ():
            known[places[key_of(old)]][old.fingerprint] = old
        if revised:
            self._actions = last_actions(self._driver.corrections(revised))
        return known

    def _holds(self, first: int, rows: dict[int, RunRow | RevisionRow]) -> RunRow | RevisionRow:
        action = self._actions.get(self._key(first)) if self._actions else None
        return holds(rows.values(), action, self._label_of)

    def _key(self, place: int) -> RunKey:
        batch = self._batch
        return int(batch.bucket[place]), int(batch.account_id[place]), batch.keys[place]

    def _said(self, place: int, position: int) -> tuple[int, int, int, int, int, int]:
        """The columns that an event decides, as the tables have them."""
        batch = self._batch
        before = (int(column[place]) for column in (batch.fingerprint, batch.ended_at, batch.duration_us))
        return *before, position, int(batch.label_id[place]), int(batch.outcome[place])  # type: ignore[return-value]

    def _run_row(self, place: int, position: int) -> RunRow:
        return RunRow(*self._said(place, position), 0, *self._key(place))

    def _revision(self, place: int, position: int) -> RevisionRow:
        return RevisionRow(*self._said(place, position), *self._key(place))


_BUCKET_BITS = 32 - BUCKET_SHIFT
