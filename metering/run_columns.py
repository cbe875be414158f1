"""Task runs in columns: tens of thousands of lines of the run list at a time, for closing a month.

The same bytes and counts as `run_list` makes of one run after the other, which is the definition; tests hold
them together. Runs whose id is a UUID have places in their lines; those with any other id are put between
them. Pure.
"""

from __future__ import annotations

import functools
import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metering.outcome import Outcome
from metering.period import DAY_US, SECOND_US, format_instant
from metering.run_list import HEADER, MonthUsage, cell
from metering.usage import Counts

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_OUTCOMES = {int(outcome): outcome for outcome in Outcome}
# How a day and an outcome share a number.
_DAY_CODE = 8
assert max(Outcome) < _DAY_CODE

UUID_BYTES = 16
# Where the parts of a UUID begin in the line, and where they are among its digits.
_ID_PARTS = ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32))
_DASHES = (8, 13, 18, 23)
_DATE, _TIME, _FRACTION, _ZONE, _DURATION = 37, 48, 56, 63, 65


class Runs(NamedTuple):
    """Runs of some accounts, a column a field: ascending by account, and each account's by id. `key` has a
    row of 16 bytes a run; instants and durations are microseconds."""

    account: Integers
    key: Bytes
    outcome: Integers
    ended_at: Integers
    duration_us: Integers

    def some(self, chosen: NDArray[np.bool_] | Integers) -> Runs:
        numbers = (self.outcome[chosen], self.ended_at[chosen], self.duration_us[chosen])
        return Runs(self.account[chosen], self.key[chosen], *numbers)


class Texts(NamedTuple):
    """The same of runs whose id is no UUID: `id` is the text, and the order that of its bytes."""

    account: Integers
    id: Sequence[str]
    outcome: Integers
    ended_at: Integers
    duration_us: Integers

    def some(self, chosen: Integers) -> Texts:
        """Those at these places."""
        ids = [self.id[place] for place in chosen.tolist()]
        return Texts(
            self.account[chosen],
            ids,
            *(each[chosen] for each in (self.outcome, self.ended_at, self.duration_us)),
        )


_NONE = np.zeros(0, dtype=np.int64)
NO_TEXTS = Texts(_NONE, (), _NONE, _NONE, _NONE)


class Tallies:
    """Adds up a month of some accounts, part after part, each account's in the order of its ids."""

    def __init__(self) -> None:
        self._digests: dict[int, hashlib._Hash] = {}
        # By account: quantities by day and outcome, in one number.
        self._quantities: dict[int, dict[int, int]] = {}
        self._last: dict[int, bytes] = {}

    def add(self, runs: Runs, texts: Texts = NO_TEXTS) -> None:
        """Raises ValueError if a run's id comes before one of its account that was added already. What an
        account has of `texts` comes with all of its other runs."""
        if len(texts.account):
            self._count(texts)
            self._add(runs, _text_lines(texts.some(np.flatnonzero(texts.outcome == int(Outcome.BILLABLE)))))
        elif len(runs.account):
            self._add(runs, {})

    def _add(self, runs: Runs, texts: dict[int, list[tuple[bytes, bytes]]]) -> None:
        for account, start, end in _stretches(runs.account):
            if runs.key[start].tobytes() <= self._last.get(account, b""):
                raise ValueError("the runs of an account are added in the order of their ids")
            self._last[account] = runs.key[end - 1].tobytes()
        if len(runs.account):
            self._count(runs)
        billed = runs.some(runs.outcome == int(Outcome.BILLABLE))
        text, ends = lines(billed)
        for account, start, end in _stretches(billed.account):
            digest = self._digests.setdefault(account, hashlib.sha256(HEADER))
            at = start
            for name, line in texts.pop(account, ()):
                after = bisect_left(range(end), name, at, key=lambda place: _id_at(text, ends, place))
                digest.update(text[int(ends[at]) : int(ends[after])])
                digest.update(line)
                at = after
            digest.update(text[int(ends[at]) : int(ends[end])])
        for account, of_account in texts.items():
            digest = self._digests.setdefault(account, hashlib.sha256(HEADER))
            digest.update(b"".join(line for _, line in of_account))

    def _count(self, runs: Runs | Texts) -> None:
        days = runs.ended_at // DAY_US * _DAY_CODE + runs.outcome
        first, width = int(days.min()), int(days.max() - days.min()) + 1
        accounts, place = np.unique(runs.account, return_inverse=True)
        together, quantities = np.unique(place * width + (days - first), return_counts=True)
        found = zip(
            (together // width).tolist(), (together % width).tolist(), quantities.tolist(), strict=True
        )
        names = accounts.tolist()
        for number, code, quantity in found:
            of_account = self._quantities.setdefault(names[number], {})
            of_account[code + first] = of_account.get(code + first, 0) + quantity

    def month_usage(self, account: int) -> MonthUsage:
        """What `run_list.month_usage` says of the account's runs that were added."""
        total: dict[Outcome, int] = {}
        by_day: dict[str, dict[Outcome, int]] = {}
        for code, quantity in sorted(self._quantities.get(account, {}).items()):
            outcome = _OUTCOMES[code % _DAY_CODE]
            total[outcome] = total.get(outcome, 0) + quantity
            by_day.setdefault(_day_text(code // _DAY_CODE), {})[outcome] = quantity
        days = {day: Counts(counts) for day, counts in by_day.items()}
        digest = self._digests.get(account) or hashlib.sha256(HEADER)
        return MonthUsage(Counts(total), days, digest.hexdigest())


def _stretches(accounts: Integers) -> Iterator[tuple[int, int, int]]:
    """Each account with the place of its first run and the one behind its last."""
    if not len(accounts):
        return
    begins = np.flatnonzero(np.concatenate([[True], accounts[1:] != accounts[:-1]]))
    ends = np.append(begins[1:], len(accounts))
    yield from zip(accounts[begins].tolist(), begins.tolist(), ends.tolist(), strict=True)


def _id_at(text: memoryview, ends: Integers, place: int) -> bytes:
    start = int(ends[place])
    return bytes(text[start : start + _DATE - 1])


def _text_lines(texts: Texts) -> dict[int, list[tuple[bytes, bytes]]]:
    """Each account's ids and lines. What follows the id is made as it is for others, with an id of zeros."""
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    keys = np.zeros((len(texts.id), UUID_BYTES), dtype=np.uint8)
    text, ends = lines(Runs(texts.account, keys, *texts[2:]))
    rests = pairwise(ends.tolist())
    for account, name, (start, end) in zip(texts.account.tolist(), texts.id, rests, strict=True):
        line = cell(name).encode() + text[start + _DATE - 1 : end]
        found.setdefault(account, []).append((name.encode(), line))
    return found


def lines(runs: Runs) -> tuple[memoryview, Integers]:
    """The lines of the run list, without the header; and where each begins, and the last ends."""
    quantity = len(runs.ended_at)
    if not quantity:
        return memoryview(b""), np.zeros(1, dtype=np.int64)
    # Every part of a line has its place; what a line does not have is left out at the end.
    groups = -(-len(str(int(runs.duration_us.max()))) // 3)
    table = np.empty((quantity, _DURATION + 3 * groups + 1), dtype=np.uint8)
    kept = np.ones(table.shape, dtype=np.bool_)
    digits = _hexadecimal()[runs.key].reshape(quantity, 2 * UUID_BYTES)
    for place, start, end in _ID_PARTS:
        table[:, place : place + end - start] = digits[:, start:end]
    for place in _DASHES:
        table[:, place] = ord("-")
    table[:, _DATE - 1] = table[:, _DURATION - 1] = ord(",")
    _write_instants(table, kept, runs.ended_at)
    _write_durations(table, kept, runs.duration_us)
    table[:, -1] = ord("\n")
    ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1, dtype=np.int64))])
    return memoryview(table[kept].tobytes()), ends


def _write_instants(table: Bytes, kept: NDArray[np.bool_], instants: Integers) -> None:
    """As `format_instant` does: the fraction only where there is one."""
    days = instants // DAY_US
    of_day = instants - days * DAY_US
    seconds = of_day // SECOND_US
    fraction = (of_day - seconds * SECOND_US).astype(np.int32)
    milliseconds = fraction // 1000
    first = int(days.min())
    names = [_day_text(day) + "T" for day in range(first, int(days.max()) + 1)]
    dates = np.frombuffer("".join(names).encode(), dtype=np.uint8).reshape(-1, 11)
    table[:, _DATE:_TIME] = dates[days - first]
    table[:, _TIME:_FRACTION] = _times()[seconds]
    table[:, _FRACTION] = ord(".")
    thousands = _thousands()
    table[:, _FRACTION + 1 : _FRACTION + 4] = thousands[milliseconds]
    table[:, _FRACTION + 4 : _FRACTION + 7] = thousands[fraction - milliseconds * 1000]
    table[:, _ZONE] = ord("Z")
    kept[:, _FRACTION:_ZONE] = (fraction != 0)[:, None]


def _write_durations(table: Bytes, kept: NDArray[np.bool_], durations: Integers) -> None:
    """In decimal digits, from the right; zeros in front are left out."""
    assert int(durations.min()) >= 0, "a run has no negative duration"
    thousands, rest = _thousands(), durations
    for place in range(table.shape[1] - 4, _DURATION - 1, -3):
        higher = rest // 1000
        table[:, place : place + 3] = thousands[rest - higher * 1000]
        rest = higher
    width = table.shape[1] - 1 - _DURATION
    for place in range(width - 1):
        kept[:, _DURATION + place] = durations >= 10 ** (width - 1 - place)


@functools.lru_cache(maxsize=4096)
def _day_text(day: int) -> str:
    return format_instant(day * DAY_US)[:10]


@functools.cache
def _times() -> Bytes:
    """`HH:MM:SS` of each second of a day."""
    text = "".join(
        f"{hour:02d}:{minute:02d}:{second:02d}"
        for hour in range(24)
        for minute in range(60)
        for second in range(60)
    )
    return _table(text, 8)


@functools.cache
def _thousands() -> Bytes:
    """Three digits of each number below 1,000."""
    return _table("".join(f"{number:03d}" for number in range(1000)), 3)


@functools.cache
def _hexadecimal() -> Bytes:
    """Two digits of each byte."""
    return _table("".join(f"{byte:02x}" for byte in range(256)), 2)


def _table(text: str, width: int) -> Bytes:
    return np.frombuffer(text.encode(), dtype=np.uint8).reshape(-1, width)
