"""One append to the SQL store: which events are new, which are duplicates, which revise a run, and what
that changes in the hourly counters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from metering.outcome import Outcome, Statement, winner
from metering.period import HOUR_US
from metering.store.driver import CountRow, Driver, NewRun, RevisionRow, RunKey, RunRow
from metering.store.names import Label


def statement_of(row: RunRow | RevisionRow | sa.Row[Any], label: Label) -> Statement:
    """What decides a run, from a row of `task_runs` or `task_run_revisions` and its label."""
    return Statement(
        Outcome(row.outcome), row.ended_at, row.duration_us, label.source, label.flow, label.workspace
    )


CounterKey = tuple[int, int, int, int]
"""Account, hour, label, outcome."""


class Append:
    """Works on one open transaction. `run` answers for each row whether it was accepted."""

    def __init__(self, driver: Driver, label_of: Callable[[int], Label], rows: Sequence[NewRun]) -> None:
        self._driver = driver
        self._label_of = label_of
        self._rows = rows
        self._accepted = [True] * len(rows)
        self._deltas: Counter[CounterKey] = Counter()

    def run(self, now: int) -> list[bool]:
        """Every event is new, until it is found to be another one's sibling."""
        position = self._driver.next_position()
        keys: list[RunKey] = list(map(_key, self._rows))
        first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        repeated = len(first) < len(keys)
        new = [self._rows[index] for index in first.values()] if repeated else self._rows
        held = {row[:2]: row for row in self._driver.insert_runs(sorted(new), position)}
        self._count(new)
        if repeated or held:
            self._resolve(position, keys, first, held)
        if any(self._accepted):
            changes = [CountRow(*key, change) for key, change in sorted(self._deltas.items()) if change]
            if changes:
                self._driver.add_to_counters(changes)
            self._driver.record_commit(position, now)
        return self._accepted

    def _count(self, new: Sequence[NewRun]) -> None:
        account_ids, _, outcomes, ended_at, _, label_ids, _ = zip(*new, strict=True)
        hours = [instant // HOUR_US for instant in ended_at]
        self._deltas.update(zip(account_ids, hours, label_ids, outcomes, strict=True))

    def _resolve(
        self, position: int, keys: Sequence[RunKey], first: dict[RunKey, int], held: dict[RunKey, RunRow]
    ) -> None:
        """Decide about events whose run was held before, or is named twice in this batch."""
        for key in held:
            self._deltas[_counter_of_new(self._rows[first[key]])] -= 1
        differing: dict[RunKey, list[int]] = defaultdict(list)
        for index, key in self._siblings(keys, first, held):
            if key not in held:
                held[key] = _run_row(self._rows[first[key]], position)
            self._accepted[index] = False
            if self._rows[index][_FINGERPRINT] != held[key].fingerprint:
                differing[key].append(index)
        if differing:
            self._revise(position, held, differing)

    def _siblings(
        self, keys: Sequence[RunKey], first: dict[RunKey, int], held: dict[RunKey, RunRow]
    ) -> list[tuple[int, RunKey]]:
        """The events, and their places in the batch, that did not bring their run."""
        known = held.keys()
        brought = {index for key, index in first.items() if key not in known} if held else {*first.values()}
        return [(index, key) for index, key in enumerate(keys) if index not in brought]

    def _revise(self, position: int, held: dict[RunKey, RunRow], differing: dict[RunKey, list[int]]) -> None:
        """Keep events that say something else of a run than those held, and move its count accordingly."""
        known: dict[RunKey, dict[int, RunRow | RevisionRow]] = {
            key: {held[key].fingerprint: held[key]} for key in differing
        }
        older = [held[key] for key in sorted(differing) if held[key].position != position]
        revised = [row[:2] for row in self._driver.locked(older) if row.revised] if older else []
        for old in self._driver.held_revisions(revised) if revised else ():
            known[old[:2]][old.fingerprint] = old
        added: list[RevisionRow] = []
        for key in sorted(differing):
            before = self._winner(known[key])
            for index in differing[key]:
                new = _revision(self._rows[index], position)
                if new.fingerprint not in known[key]:
                    known[key][new.fingerprint] = new
                    added.append(new)
                    self._accepted[index] = True
            after = self._winner(known[key])
            self._deltas[_counter(before)] -= 1
            self._deltas[_counter(after)] += 1
        if added:
            self._driver.insert_revisions(added)

    def _winner(self, rows: dict[int, RunRow | RevisionRow]) -> RunRow | RevisionRow:
        said = [(statement_of(row, self._label_of(row.label_id)), row) for row in rows.values()]
        best = winner(statement for statement, _ in said)
        return next(row for statement, row in said if statement == best)


_key = itemgetter(0, 1)
_FINGERPRINT = 6


def _counter_of_new(row: NewRun) -> CounterKey:
    return row[0], row[3] // HOUR_US, row[5], row[2]


def _counter(row: RunRow | RevisionRow) -> CounterKey:
    return row.account_id, row.ended_at // HOUR_US, row.label_id, row.outcome


def _run_row(row: NewRun, position: int) -> RunRow:
    account_id, run_key, outcome, ended_at, duration_us, label_id, fingerprint = row
    return RunRow(account_id, run_key, position, outcome, ended_at, duration_us, label_id, fingerprint, 0)


def _revision(row: NewRun, position: int) -> RevisionRow:
    account_id, run_key, outcome, ended_at, duration_us, label_id, fingerprint = row
    return RevisionRow(account_id, run_key, fingerprint, position, outcome, ended_at, duration_us, label_id)
