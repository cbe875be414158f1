"""Whether the record of corrections is what the audit trail says: who corrected which runs, when and why.

An entry is of one transaction of the record: it says at which position that is, and its digest. So whatever
is in the record has an entry, or is a finding. Entries from before they said so are compared by their
instant, and the positions of what they tell of by the list of commits and by the order of the entries; what a
service of then left without one when it was killed is confirmed by `billing corrections confirm`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.audit.actor import OPERATOR
from billing.audit.entry import Entry, Finding, readable, said_in, sha256
from billing.corrections import KIND, record_digest
from billing.repository import audit
from metering.outcome import Action
from metering.period import format_instant
from metering.store.corrections import Recorded, committed, every

_DEEDS = {"runs.reversed": Action.REVERSE, "runs.restored": Action.RESTORE}


class _Place(NamedTuple):
    """One transaction of the record, as far as it is of an account."""

    position: int
    account: str


class _Said(NamedTuple):
    """What an entry says of one."""

    entry: int
    digest: object


class _Before(NamedTuple):
    """The last correction of a run so far, and the numbers of the entries that may tell of it."""

    position: int
    recorded_at: int
    entries: tuple[int, ...]


class _Moment(NamedTuple):
    account: str
    at: int


def check(connection: sa.Connection) -> Iterator[Finding]:
    said, older = _entries(connection)
    order = _Order({moment.account for moment in older}, committed(connection))
    of_older: dict[_Moment, list[Recorded]] = defaultdict(list)
    for place, group in groupby(_by_account(connection), lambda each: _Place(each.position, each.account)):
        rows = list(group)
        found = said.pop(place, None)
        if found is not None:
            if found.digest != record_digest(rows):
                yield _differs(found.entry, place.account, place.position)
            order.take(rows, lambda _, number=found.entry: (number,))  # type: ignore[misc]
            continue
        unknown: list[Recorded] = []
        for row in rows:
            moment = _Moment(row.account, row.recorded_at)
            told = _is_told(row, older.get(moment, ()))
            (of_older[moment] if told else unknown).append(row)
        if unknown:
            yield _unknown(place, unknown)
        elif not order.is_committed(rows):
            yield _misplaced(place, "no commit of then is at this position")
        elif (other := order.take(rows, lambda row: _telling(row, older))) is not None:
            yield _misplaced(place, f"they were recorded before those at position {other}")
    for place, missing in sorted(said.items()):
        yield _differs(missing.entry, place.account)
    for moment, entries in sorted(older.items()):
        yield from _as_said_then(entries, of_older[moment])


class _Order:
    """Whether corrections are at the position at which they were recorded: of a run the last one holds.
    Entries that do not say it have their order. It is of accounts that have such entries: of others each
    entry names the position of what it tells of."""

    def __init__(self, accounts: set[str], committed_at: Mapping[int, int]) -> None:
        self._accounts = accounts
        self._committed_at = committed_at
        self._last: dict[tuple[str, str], _Before] = {}

    def is_committed(self, rows: Sequence[Recorded]) -> bool:
        return all(self._committed_at.get(each.position) == each.recorded_at for each in rows)

    def take(self, rows: Sequence[Recorded], entries_of: Callable[[Recorded], tuple[int, ...]]) -> int | None:
        """The position of others that come before them and are later, by their instant and by the trail: by
        one alone, a clock was put back, or two who corrected at once were told of the other way round."""
        found = None
        for row in rows:
            if row.account not in self._accounts:
                return None
            mine = _Before(row.position, row.recorded_at, entries_of(row))
            before = self._last.get((row.account, row.task_run_id))
            self._last[row.account, row.task_run_id] = mine
            if (
                before is not None
                and mine.recorded_at < before.recorded_at
                and max(mine.entries) < min(before.entries)
            ):
                found = before.position
        return found


def _entries(connection: sa.Connection) -> tuple[dict[_Place, _Said], dict[_Moment, list[Entry]]]:
    """What they say by its place, the last one about each; and those that say no place."""
    said: dict[_Place, _Said] = {}
    older: dict[_Moment, list[Entry]] = defaultdict(list)
    for entry in audit.of_kind(connection, KIND):
        detail = said_in(entry.detail) or {}
        position = detail.get("position")
        if isinstance(position, int):
            place = _Place(position, entry.subject)
            if place not in said or said[place].entry < entry.number:  # what is confirmed later holds
                said[place] = _Said(entry.number, detail.get("record_sha256"))
        elif entry.deed in _DEEDS:
            older[_Moment(entry.subject, entry.at)].append(entry)
    return said, older


def _is_told(row: Recorded, entries: Sequence[Entry]) -> bool:
    return any((row.action, row.reason) == (_DEEDS[each.deed], each.reason) for each in entries)


def _telling(row: Recorded, older: Mapping[_Moment, Sequence[Entry]]) -> tuple[int, ...]:
    told = older[_Moment(row.account, row.recorded_at)]
    return tuple(each.number for each in told if _is_told(row, (each,)))


def _by_account(connection: sa.Connection) -> Iterator[Recorded]:
    """The record, in which the service has one account at a position."""
    for _, rows in groupby(every(connection), lambda each: each.position):
        yield from sorted(rows, key=lambda each: each.account)  # stable: the order within one stays


def _differs(entry: int, account: str, position: int | None = None) -> Finding:
    where = "" if position is None else f" at position {position}"
    what = f"the record of corrections{where} is not what entry {entry} says"
    return Finding(f"{what}: who corrected which task runs, and why", entry, readable(account))


def _misplaced(place: _Place, why: str) -> Finding:
    what = f"the corrections at position {place.position} of {readable(place.account)} were put there: {why}"
    return Finding(f"{what}; the last one of a task run holds", subject=readable(place.account))


def _unknown(place: _Place, rows: list[Recorded]) -> Finding:
    first = rows[0]
    says = (
        f"no entry tells of the correction at position {place.position}: {len(rows):,} task runs of "
        f"{readable(place.account)}, such as {readable(first.task_run_id)}, {first.action.text} at "
        f"{format_instant(first.recorded_at)}. If it is right (a service of an older version that was killed "
        f"may have left it): billing corrections confirm {place.position} --reason TEXT; else correct these "
        "runs back first"
    )
    return Finding(says, subject=readable(place.account))


def _as_said_then(entries: list[Entry], rows: list[Recorded]) -> Iterator[Finding]:
    """Entries of one account and instant, mostly one."""
    for entry in entries:
        alike = [each for each in entries if (each.deed, each.reason) == (entry.deed, entry.reason)]
        said = [said_in(each.detail) for each in alike]
        wanted = [_runs(each) for each in said]
        counted = [each for each in wanted if each is not None]
        if len(counted) < len(alike):
            continue  # it was erased, or is a finding by itself: there is nothing to compare with
        # Entries from before the author was in them were by the author.
        authors = {
            OPERATOR,
            *(str(each.get("author", by.by)) for each, by in zip(said, alike, strict=True) if each),
        }
        mine = [row for row in rows if (row.action, row.reason) == (_DEEDS[entry.deed], entry.reason)]
        runs = sha256("".join(f"{row.task_run_id}\n" for row in mine))
        is_same = len(alike) > 1 or runs == (said[0] or {}).get("sha256")
        if len(mine) != sum(counted) or not is_same or not authors.issuperset(row.author for row in mine):
            yield _differs(entry.number, entry.subject)


def _runs(said: dict[str, Any] | None) -> int | None:
    runs = None if said is None else said.get("runs")
    return runs if isinstance(runs, int) else None
