"""What events say, by column: a batch is never a row an event, neither here nor on its way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from metering.event import TaskRunEvent, fingerprints
from metering.outcome import OUTCOMES, THRESHOLD_US
from metering.store import run_key
from metering.store.run_key import UUID_BYTES

Identity = tuple[str, bytes, int]
"""Account, key of the run, fingerprint: two events that agree in these are duplicates."""

Mark = tuple[int, int]
"""Fingerprint and key tail: what tells a duplicate among the runs of a second."""

Integers = NDArray[np.int64]

# The creation of a run is read from its id where that is a UUID of version 7 of a sane year.
FIRST_MS, LAST_MS = 1_577_836_800_000, 2_524_607_999_999

_KEY = np.dtype(f"V{UUID_BYTES}")
_STATES = {state: place for place, (state, _) in enumerate(sorted(OUTCOMES)[::2])}
_RANKS = np.array(
    [[int(OUTCOMES[state, is_long]) for is_long in (False, True)] for state in _STATES], dtype=np.uint8
)


class _Places(dict[str, int]):
    """A number for each text, in the order in which they come."""

    def __missing__(self, text: str) -> int:
        place = self[text] = len(self)
        return place


class Names(NamedTuple):
    """A column of texts that repeat: the place of each in `texts`."""

    texts: list[str]
    places: NDArray[np.uint32]

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        place = _Places()
        places = np.fromiter(map(place.__getitem__, names), np.uint32, len(names))
        return cls(list(place), places)

    def where(self, chosen: NDArray[Any]) -> Names:
        return Names(self.texts, self.places[chosen])

    @classmethod
    def joined(cls, parts: Sequence[Names]) -> Names:
        place = _Places()
        places = [
            np.fromiter(map(place.__getitem__, part.texts), np.uint32, len(part.texts))[part.places]
            for part in parts
        ]
        return cls(list(place), np.concatenate(places))


class Statements(NamedTuple):
    """Columns of equal length, in the order of the events. Keys are `run_key`'s: 16 bytes each where all are
    UUIDs, else objects."""

    account: Names
    run_key: NDArray[Any]
    fingerprint: Integers
    outcome: NDArray[np.uint8]
    ended_at: Integers
    duration_us: Integers
    workspace: Names
    flow: Names
    source: Names

    @classmethod
    def of(cls, events: Sequence[TaskRunEvent]) -> Statements:
        # A list an attribute: rows to be turned over would cost ten times as much.
        states = [event.state for event in events]
        duration_us = np.array([event.duration_us for event in events], dtype=np.int64)
        state = np.fromiter(map(_STATES.__getitem__, states), np.uint8, len(states))
        return cls(
            Names.of([event.account for event in events]),
            keys_of(run_key.encode_all([event.task_run_id for event in events])),
            np.array(fingerprints(events), dtype=np.int64),
            _RANKS[state, (duration_us > THRESHOLD_US).astype(np.uint8)],
            np.array([event.ended_at for event in events], dtype=np.int64),
            duration_us,
            Names.of([event.workspace for event in events]),
            Names.of([event.flow for event in events]),
            Names.of([event.source for event in events]),
        )

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[Any]]) -> Statements:
        """From rows of (account, key, fingerprint, outcome, end, duration, workspace, flow, source)."""
        account, key, fingerprint, outcome, ended_at, duration_us, *names = zip(*rows, strict=True)
        return cls(
            Names.of(account),
            keys_of([bytes(each) for each in key]),
            np.array(fingerprint, dtype=np.int64),
            np.array(outcome, dtype=np.uint8),
            np.array(ended_at, dtype=np.int64),
            np.array(duration_us, dtype=np.int64),
            *map(Names.of, names),
        )

    @classmethod
    def joined(cls, parts: Sequence[Statements]) -> Statements:
        """Several batches as one, in their order."""
        if len(parts) == 1:
            return parts[0]
        columns: list[Any] = [
            Names.joined(column) if isinstance(column[0], Names) else np.concatenate(column)
            for column in zip(*parts, strict=True)
        ]
        if any(part.run_key.dtype == object for part in parts):
            columns[1] = keys_of([key for part in parts for key in part.run_key.tolist()])
        return cls(*columns)

    @property
    def rows(self) -> int:
        return len(self.fingerprint)

    def where(self, chosen: NDArray[Any]) -> Statements:
        """Those that are chosen, by a mask or by their places."""
        columns: Any = (
            column.where(chosen) if isinstance(column, Names) else column[chosen] for column in self
        )
        return Statements(*columns)

    def identities(self) -> list[Identity]:
        accounts = map(self.account.texts.__getitem__, self.account.places.tolist())
        return list(zip(accounts, self.run_key.tolist(), self.fingerprint.tolist(), strict=True))

    def are_among(self, marks: Iterable[Mark]) -> NDArray[np.bool_]:
        """Which rows have one of these marks."""
        known = set(marks)
        found = np.zeros(self.rows, dtype=np.bool_)
        if known:
            fingerprints = np.array([fingerprint for fingerprint, _ in known], dtype=np.int64)
            suspects = np.flatnonzero(np.isin(self.fingerprint, fingerprints))
            some = self.where(suspects)
            pairs = zip(some.fingerprint.tolist(), some.key_tails().tolist(), strict=True)
            found[suspects] = [pair in known for pair in pairs]
        return found

    def repeat(self) -> NDArray[np.bool_]:
        """Which rows are equal to one before them."""
        repeated = np.zeros(self.rows, dtype=np.bool_)
        order = np.argsort(self.fingerprint, kind="stable")
        same = np.flatnonzero(self.fingerprint[order][1:] == self.fingerprint[order][:-1])
        suspects = np.unique(np.concatenate([order[same], order[same + 1]]))
        seen: set[Identity] = set()
        for row, identity in zip(suspects.tolist(), self.where(suspects).identities(), strict=True):
            repeated[row] = identity in seen
            seen.add(identity)
        return repeated

    def run_seconds(self) -> NDArray[np.uint32]:
        """When each run was created, in seconds since the epoch; 0 where its id does not tell."""
        high, _ = self._halves()
        created_ms = high >> 16
        dated = ((high >> 12) & 15 == 7) & (created_ms >= FIRST_MS) & (created_ms <= LAST_MS)
        return np.where(dated, created_ms // 1000, 0).astype(np.uint32)

    def key_tails(self) -> NDArray[np.uint32]:
        """Of each UUID the last 32 bits, of another key a checksum: with the fingerprint, which is over the
        whole event, and the second, it tells a duplicate but for a chance of 2⁻⁹⁶ for a pair of runs."""
        _, low = self._halves()
        tails = (low & 0xFFFFFFFF).astype(np.uint32)
        if self.run_key.dtype == object:
            for row, key in enumerate(self.run_key.tolist()):
                if len(key) != UUID_BYTES:
                    tails[row] = crc32(key)
        return tails

    def _halves(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Of each UUID the first 64 bits, and the others; of another key nothing."""
        raw = self.run_key.tobytes()
        if self.run_key.dtype == object:
            keys = self.run_key.tolist()
            raw = b"".join(key if len(key) == UUID_BYTES else bytes(UUID_BYTES) for key in keys)
        table = np.frombuffer(raw, dtype=">u8").reshape(-1, 2).astype(np.uint64)
        return table[:, 0], table[:, 1]


def keys_of(keys: Sequence[bytes]) -> NDArray[Any]:
    if all(len(key) == UUID_BYTES for key in keys):
        return np.frombuffer(b"".join(keys), dtype=_KEY)
    column = np.empty(len(keys), dtype=object)
    column[:] = keys
    return column
