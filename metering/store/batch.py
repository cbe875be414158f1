"""A batch of events on their way into the store, as columns: at a hundred thousand a second, a few objects
for each event would cost more than the disk."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metering.event import TaskRunEvent, fingerprints
from metering.outcome import OUTCOMES, THRESHOLD_US
from metering.store import run_key
from metering.store.names import Place
from metering.store.run_key import BUCKET_SHIFT, NO_TIME, UUID_BYTES

Integers = NDArray[np.int64]

# As plain numbers: an Outcome costs a look at its class, each time.
_RANKS = {key: int(outcome) for key, outcome in OUTCOMES.items()}


class Columns(NamedTuple):
    """Events in the order in which they came, before their names have numbers. Another process may have
    made them. `places` are different ones, and `place` says which is each event's. `raw` are the keys as a
    table of 16 bytes each; where some id is no UUID it is None, and `texts` are the keys."""

    places: list[Place]
    place: Integers
    raw: NDArray[np.uint8] | None
    texts: list[bytes]
    bucket: Integers
    outcome: Integers
    ended_at: Integers
    duration_us: Integers
    fingerprint: Integers


class Batch(NamedTuple):
    """The same with the numbers of accounts and labels, and all keys."""

    keys: list[bytes]
    raw: NDArray[np.uint8] | None
    bucket: Integers
    account_id: Integers
    label_id: Integers
    outcome: Integers
    ended_at: Integers
    duration_us: Integers
    fingerprint: Integers


def columns_of(events: Sequence[TaskRunEvent]) -> Columns:
    """At least one event, as columns."""
    numbers: dict[Place, int] = {}
    place = [numbers.setdefault(each, len(numbers)) for each in map(_place_of, events)]
    durations = [event.duration_us for event in events]
    outcomes = [
        _RANKS[event.state, duration > THRESHOLD_US]
        for event, duration in zip(events, durations, strict=True)
    ]
    keys = run_key.encode_all([event.task_run_id for event in events])
    raw = _raw(keys)
    return Columns(
        list(numbers),
        np.array(place, dtype=np.int64),
        raw,
        keys if raw is None else [],
        np.array([run_key.bucket(key) for key in keys]) if raw is None else _buckets(raw),
        np.array(outcomes, dtype=np.int64),
        np.array([event.ended_at for event in events], dtype=np.int64),
        np.array(durations, dtype=np.int64),
        np.array(fingerprints(events), dtype=np.int64),
    )


def joined(parts: Sequence[Columns]) -> Columns:
    """Several batches as one, in their order."""
    if len(parts) == 1:
        return parts[0]
    numbers: dict[Place, int] = {}
    place = [
        np.array([numbers.setdefault(each, len(numbers)) for each in part.places], dtype=np.int64)[part.place]
        for part in parts
    ]
    raw = [part.raw for part in parts if part.raw is not None]
    are_uuids = len(raw) == len(parts)
    return Columns(
        list(numbers),
        np.concatenate(place),
        np.concatenate(raw) if are_uuids else None,
        [] if are_uuids else [key for part in parts for key in _keys(part)],
        *(np.concatenate(columns) for columns in zip(*(part[4:] for part in parts), strict=True)),
    )


_place_of = attrgetter("account", "workspace", "flow", "source")


def batch_of(columns: Columns, numbers: Sequence[tuple[int, int]]) -> Batch:
    """Columns and, of each place, the numbers of its account and its label."""
    named = np.array(numbers, dtype=np.int64)
    return Batch(
        _keys(columns),
        columns.raw,
        columns.bucket,
        named[columns.place, 0],
        named[columns.place, 1],
        columns.outcome,
        columns.ended_at,
        columns.duration_us,
        columns.fingerprint,
    )


def _keys(columns: Columns) -> list[bytes]:
    if columns.raw is None:
        return columns.texts
    text = columns.raw.tobytes()
    return [text[start : start + UUID_BYTES] for start in range(0, len(text), UUID_BYTES)]


def _raw(keys: Sequence[bytes]) -> NDArray[np.uint8] | None:
    if any(len(key) != UUID_BYTES for key in keys):
        return None
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, UUID_BYTES)


def _buckets(raw: NDArray[np.uint8]) -> Integers:
    """`run_key.bucket` of each key."""
    begins = raw[:, :4].copy().view(">u4")[:, 0].astype(np.int64) >> BUCKET_SHIFT
    tells_time = (raw[:, 6] >> 4 == 7) & (raw[:, 8] >> 6 == 2)
    return np.where(tells_time, begins, NO_TIME)


def marks(batch: Batch) -> Integers:
    """Numbers that are equal where runs are, and otherwise differ nearly always."""
    if batch.raw is not None:
        return batch.raw.view(">i8")[:, 1].astype(np.int64) ^ batch.account_id
    return np.array([hash(key) for key in batch.keys], dtype=np.int64) ^ batch.account_id


class Order(NamedTuple):
    """The runs of a batch. `leads` are the places of the first event of each run, in key order; `lead` is,
    for each event, the place of its run's first."""

    leads: Integers
    lead: Integers


def in_key_order(batch: Batch) -> Order:
    """In the order of (bucket, account, key), which is that of the table: all writers take runs in it."""
    if batch.raw is not None:
        halves = batch.raw.view(">u8").astype(np.uint64)
        order = np.lexsort((halves[:, 1], halves[:, 0], batch.account_id, batch.bucket))
        sorted_ = halves[order]
        differs = (sorted_[1:] != sorted_[:-1]).any(axis=1)
    else:
        rows = list(zip(batch.bucket.tolist(), batch.account_id.tolist(), batch.keys, strict=True))
        order = np.array(sorted(range(len(rows)), key=rows.__getitem__), dtype=np.int64)
        listed = [batch.keys[place] for place in order.tolist()]
        differs = np.array([key != other for key, other in zip(listed[1:], listed, strict=False)], dtype=bool)
    accounts = batch.account_id[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = differs | (accounts[1:] != accounts[:-1])
    leads = order[begins]
    lead = np.empty_like(order)
    lead[order] = leads[np.cumsum(begins) - 1]
    return Order(leads, lead)
