"""The run ledger: committed runs as signed entries that are only ever added (docs/rules.md §4).

The truth is re-drawn from the grants and the usage known now; the ledger is what was written down of it, and
when. `to_record` answers the entries that make the two agree again: it compares sums by place (day, grant,
and what for) and never asks how the difference arose, so late usage, a grant added later and an amended
expiry are one case. Every entry has two times: the day on which it is effective, by which reports go, and
the instant at which it was recorded.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from billing.pricing.contract import Grant
from billing.pricing.drawdown import Drawdown


class EntryKind(enum.StrEnum):
    """What an entry is. The order is that of a day: runs are granted or expire as it begins, then used."""

    GRANT = "grant"
    EXPIRY = "expiry"
    USAGE = "usage"
    CORRECTION = "correction"


_ORDER = {kind: place for place, kind in enumerate(EntryKind)}


class Place(NamedTuple):
    """What a quantity of the ledger belongs to; `purpose` is grant, expiry or usage."""

    effective_on: date
    grant: str
    purpose: EntryKind


@dataclass(frozen=True, slots=True)
class Entry:
    """`quantity` is signed: a grant adds, usage and expiry take away, a correction does either. `corrects`
    is set on a correction alone: whether it changes what was granted, used or expired. `recorded_at` is an
    instant."""

    kind: EntryKind
    grant: str
    effective_on: date
    quantity: int
    recorded_at: int
    corrects: EntryKind | None = None

    def __post_init__(self) -> None:
        is_correction = self.kind is EntryKind.CORRECTION
        assert is_correction == (self.corrects is not None), "a correction, and nothing else, corrects"
        assert self.corrects is not EntryKind.CORRECTION, "a correction corrects an entry's purpose"
        assert self.quantity, "an entry of nothing"

    @property
    def place(self) -> Place:
        return Place(self.effective_on, self.grant, self.corrects or self.kind)


def truth(grants: Iterable[Grant], drawdown: Drawdown, as_of: date) -> dict[Place, int]:
    """What the ledger should sum to by place, up to and including the day `as_of`: grants on `granted_on`,
    usage on its day, and what is left of a grant on `expires_on`, as minus. None of them is zero."""
    sums: dict[Place, int] = {}
    for grant in grants:
        sums[Place(grant.granted_on, grant.id, EntryKind.GRANT)] = grant.runs
        sums[Place(grant.expires_on, grant.id, EntryKind.EXPIRY)] = -drawdown.left[grant.id]
    for day in drawdown.days:
        for grant_id, runs in day.by_grant:
            sums[Place(day.day, grant_id, EntryKind.USAGE)] = -runs
    return {place: sums[place] for place in sums if place.effective_on <= as_of and sums[place]}


def to_record(
    recorded: Iterable[Entry],
    grants: Iterable[Grant],
    drawdown: Drawdown,
    *,
    as_of: date,
    recorded_at: int,
) -> tuple[Entry, ...]:
    """The entries to add to `recorded` now, so that its sums up to the day `as_of` are the truth; none if
    they are. The first entry of a place has its own kind, also if it comes late; any further one is a
    correction. Entries effective after `as_of` are left alone.

    Days that are not over yet may be left out of the usage that was drawn; a day recorded too early is
    corrected by the next call.
    """
    held = sums(entry for entry in recorded if entry.effective_on <= as_of)
    due = truth(grants, drawdown, as_of)
    places = sorted(held.keys() | due.keys(), key=lambda p: (p.effective_on, _ORDER[p.purpose], p.grant))
    return tuple(
        _entry(place, due.get(place, 0) - held.get(place, 0), recorded_at, first=place not in held)
        for place in places
        if due.get(place, 0) != held.get(place, 0)
    )


def sums(entries: Iterable[Entry]) -> Mapping[Place, int]:
    """Quantities by place; a place whose entries cancel out is there, with 0."""
    found: Counter[Place] = Counter()
    for entry in entries:
        found[entry.place] += entry.quantity
    return found


def balance(entries: Iterable[Entry], on: date, grant: str | None = None) -> int:
    """The run balance on a day, of all grants or of one: the sum of the entries effective up to it, that day
    included. At an instant it is that of the instant's day."""
    return sum(
        entry.quantity
        for entry in entries
        if entry.effective_on <= on and (grant is None or entry.grant == grant)
    )


def _entry(place: Place, quantity: int, recorded_at: int, *, first: bool) -> Entry:
    return Entry(
        kind=place.purpose if first else EntryKind.CORRECTION,
        grant=place.grant,
        effective_on=place.effective_on,
        quantity=quantity,
        recorded_at=recorded_at,
        corrects=None if first else place.purpose,
    )
