"""One append to the SQL store: which events are new, which are duplicates, which revise a run, and what
that changes in the hourly counters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from metering.outcome import Outcome, Statement, winner
from metering.period import hour_of
from metering.store.driver import CountRow, Driver, RevisionRow, RunKey, RunRow
from metering.store.names import Label, Names


def statement_of(row: RunRow | RevisionRow | sa.Row[Any], label: Label) -> Statement:
    """What decides a run, from a row of `task_runs` or `task_run_revisions` and its label."""
    return Statement(
        Outcome(row.outcome), row.ended_at, row.duration_us, label.source, label.flow, label.workspace
    )


class Append:
    """Works on one open transaction. `run` answers for each row whether it was accepted."""

    def __init__(self, driver: Driver, names: Names, rows: Sequence[RunRow]) -> None:
        self._driver = driver
        self._names = names
        self._rows = rows
        self._accepted = [False] * len(rows)
        self._deltas: Counter[tuple[int, int, int, int]] = Counter()

    def run(self, now: int) -> list[bool]:
        position = self._driver.next_position()
        first: dict[RunKey, int] = {}
        further: list[int] = []  # indexes of events of a run that this batch named before
        for index, row in enumerate(self._rows):
            if first.setdefault(row[:2], index) != index:
                further.append(index)
        ordered = sorted(first)
        # Built from the sorted key on: `_replace` would take several times as long.
        inserts = [RunRow(*key, position, *self._rows[first[key]][3:]) for key in ordered]
        for index in first.values():
            self._accepted[index] = True
        met = [row[:2] for part in self._driver.insert_runs(inserts) for row in part]
        self._resolve(position, first, met, further)
        if any(self._accepted):
            changes = [CountRow(*key, change) for key, change in sorted(self._deltas.items()) if change]
            if changes:
                self._driver.add_to_counters(changes)
            self._driver.record_commit(position, now)
        return self._accepted

    def _resolve(
        self, position: int, first: dict[RunKey, int], met: list[RunKey], further: list[int]
    ) -> None:
        """Decide about events whose run is held already, or is named twice in this batch."""
        keys = sorted({*met, *(self._rows[index][:2] for index in further)})
        held = {row[:2]: row for row in self._driver.held_runs(keys)} if keys else {}
        candidates: dict[RunKey, list[int]] = defaultdict(list)
        for key in met:
            if held[key].position != position:  # it was there before: not new
                index = first.pop(key)
                self._accepted[index] = False
                candidates[key].append(index)
        for index in first.values():
            self._deltas[_counter(self._rows[index])] += 1
        for index in further:
            candidates[self._rows[index][:2]].append(index)
        differing = {
            key: wanted
            for key, indexes in candidates.items()
            if (wanted := [i for i in indexes if self._rows[i].fingerprint != held[key].fingerprint])
        }
        if differing:
            self._revise(position, held, differing)

    def _revise(self, position: int, held: dict[RunKey, RunRow], differing: dict[RunKey, list[int]]) -> None:
        known: dict[RunKey, dict[int, RunRow | RevisionRow]] = {
            key: {held[key].fingerprint: held[key]} for key in differing
        }
        revised = [key for key in sorted(differing) if held[key].revised]
        for old in self._driver.held_revisions(revised) if revised else ():
            known[old[:2]][old.fingerprint] = old
        added: list[RevisionRow] = []
        for key in sorted(differing):
            before = self._winner(known[key])
            for index in differing[key]:
                row = self._rows[index]
                if row.fingerprint not in known[key]:
                    new = RevisionRow(
                        *key,
                        row.fingerprint,
                        position,
                        row.outcome,
                        row.ended_at,
                        row.duration_us,
                        row.label_id,
                    )
                    known[key][row.fingerprint] = new
                    added.append(new)
                    self._accepted[index] = True
            after = self._winner(known[key])
            self._deltas[_counter(before)] -= 1
            self._deltas[_counter(after)] += 1
        if added:
            self._driver.insert_revisions(added)

    def _winner(self, rows: dict[int, RunRow | RevisionRow]) -> RunRow | RevisionRow:
        said = [(statement_of(row, self._names.label(row.label_id)), row) for row in rows.values()]
        best = winner(statement for statement, _ in said)
        return next(row for statement, row in said if statement == best)


def _counter(row: RunRow | RevisionRow) -> tuple[int, int, int, int]:
    return row.account_id, hour_of(row.ended_at), row.label_id, row.outcome
