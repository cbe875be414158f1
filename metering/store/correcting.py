"""One correction of task runs in the SQL store: of which runs it changes what holds, and what that changes in
the counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from metering.outcome import Action, Outcome, Statement, changes_nothing, judged
from metering.store import Correction, Verdict, run_key
from metering.store.counts import Change, Changes
from metering.store.driver import CorrectionRow, Driver, RevisionRow, RunKey, RunRow
from metering.store.names import Label

Said = RunRow | RevisionRow


def holds(rows: Iterable[Said], action: Action | None, label_of: Callable[[int], Label]) -> Said:
    """What holds for a run of which these rows are held: the row that places it, with the outcome."""
    said = [(_statement(row, label_of), row) for row in rows]
    best = judged((statement for statement, _ in said), action)
    # A correction changes no more of a statement than its outcome.
    row = next(row for statement, row in said if statement[1:] == best[1:])
    return row if row.outcome == best.outcome else row._replace(outcome=int(best.outcome))


def key_of(row: Said | CorrectionRow) -> RunKey:
    return row.bucket, row.account_id, row.run_key


def change(row: Said, quantity: int) -> Change:
    return Change(row.ended_at, row.account_id, row.label_id, row.outcome, quantity)


class Corrected(NamedTuple):
    """What became of each run, by its key. `keys` are those that were corrected, in the order of the record,
    at `position`; None where there are none."""

    verdicts: dict[bytes, Verdict]
    keys: Sequence[bytes]
    position: int | None


class Correcting:
    """Works on one open transaction."""

    def __init__(self, driver: Driver, label_of: Callable[[int], Label], account_id: int) -> None:
        self._driver = driver
        self._label_of = label_of
        self._account_id = account_id

    def run(self, keys: Sequence[bytes], asked: Correction, now: int) -> Corrected:
        found: dict[bytes, Verdict] = {}
        wanted = sorted((run_key.bucket(key), self._account_id, key) for key in set(keys))
        said = self._said(wanted)
        actions = self._actions([key for key, rows in said.items() if _is_revised(rows)])
        moved: list[Change] = []
        for key in wanted:
            if key not in said:
                found[key[2]] = Verdict.NOT_HELD
                continue
            before = holds(said[key], actions.get(key), self._label_of)
            if changes_nothing(Outcome(before.outcome), asked.action):
                found[key[2]] = Verdict.UNCHANGED
                continue
            after = holds(said[key], asked.action, self._label_of)
            moved += [change(before, -1), change(after, 1)]
            found[key[2]] = Verdict.CORRECTED
        corrected = [key for key in dict.fromkeys(keys) if found[key] is Verdict.CORRECTED]
        position = self._keep(corrected, moved, asked, now) if corrected else None
        return Corrected(found, corrected, position)

    def _said(self, wanted: Sequence[RunKey]) -> Mapping[RunKey, list[Said]]:
        """All that events say of those runs that are held, which nobody else changes from here on."""
        said: dict[RunKey, list[Said]] = defaultdict(list)
        for row in self._driver.held_runs(wanted) if wanted else ():
            said[key_of(row)].append(row)
        revised = [key for key, rows in said.items() if _is_revised(rows)]
        for old in self._driver.held_revisions(revised) if revised else ():
            said[key_of(old)].append(old)
        return said

    def _actions(self, revised: Sequence[RunKey]) -> dict[RunKey, Action]:
        return last_actions(self._driver.corrections(revised)) if revised else {}

    def _keep(self, keys: Sequence[bytes], moved: Sequence[Change], asked: Correction, now: int) -> int:
        # The position comes after the locks of the runs: the last correction of a run has the highest.
        position = self._driver.next_position()
        said = (int(asked.action), asked.author, asked.reason)
        self._driver.insert_corrections(
            [
                CorrectionRow(position, now, place, *said, run_key.bucket(key), self._account_id, key)
                for place, key in enumerate(keys)
            ]
        )
        self._driver.count(Changes(*np.array(moved, dtype=np.int64).T), position)
        self._driver.record_commit(position, now)
        return position


def last_actions(rows: Iterable[CorrectionRow]) -> dict[RunKey, Action]:
    """Of each run the last correction."""
    return {key_of(row): Action(row.action) for row in sorted(rows)}


def _is_revised(rows: Sequence[Said]) -> bool:
    first = rows[0]
    return isinstance(first, RunRow) and bool(first.revised)


def _statement(row: Said, label_of: Callable[[int], Label]) -> Statement:
    label = label_of(row.label_id)
    return Statement(
        Outcome(row.outcome), row.ended_at, row.duration_us, label.source, label.flow, label.workspace
    )
