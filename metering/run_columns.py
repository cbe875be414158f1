"""Task runs in columns: tens of thousands of lines of the run list at a time, for closing a month.

The same bytes and counts as `run_list` makes of one run after the other, which is the definition; tests hold
them together. Only for runs whose id is a UUID: their lines have places. Pure.
"""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metering.outcome import Outcome
from metering.period import DAY_US, SECOND_US, format_instant
from metering.run_list import HEADER, MonthUsage
from metering.usage import Counts

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# How a day and an outcome share a number.
DAY_CODE = 8
assert max(Outcome) < DAY_CODE
_OUTCOMES = {int(outcome): outcome for outcome in Outcome}

ID_DIGITS = 32
# Where the parts of a UUID begin in the line, and where they are among its digits.
_ID_PARTS = ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32))
_DASHES = (8, 13, 18, 23)
_DATE, _TIME, _FRACTION, _ZONE, _DURATION = 37, 48, 56, 63, 65


class Billed(NamedTuple):
    """Billed runs, ascending by id: 32 lower-case hexadecimal digits each, and microseconds."""

    ids: bytes
    ended_at: Integers
    duration_us: Integers


class Tally:
    """Adds up a month of one account, page after page, in the order of the ids."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256(HEADER)
        self._quantities: dict[int, int] = {}  # by day and outcome, in one number

    def add_billed(self, runs: Billed) -> None:
        if len(runs.ended_at):
            self._digest.update(lines(runs))
            self.add_others(runs.ended_at // DAY_US * DAY_CODE + int(Outcome.BILLABLE))

    def add_others(self, codes: Integers) -> None:
        """Runs that are not billed, each as its day (since the epoch) times `DAY_CODE` plus its outcome."""
        if not len(codes):
            return
        first = int(codes.min())
        for code, quantity in enumerate(np.bincount(codes - first).tolist(), start=first):
            if quantity:
                self._quantities[code] = self._quantities.get(code, 0) + quantity

    def month_usage(self) -> MonthUsage:
        """What `run_list.month_usage` says of the same runs."""
        total: dict[Outcome, int] = {}
        by_day: dict[str, dict[Outcome, int]] = {}
        for code, quantity in sorted(self._quantities.items()):
            outcome = _OUTCOMES[code % DAY_CODE]
            total[outcome] = total.get(outcome, 0) + quantity
            by_day.setdefault(_day_text(code // DAY_CODE), {})[outcome] = quantity
        days = {day: Counts(counts) for day, counts in by_day.items()}
        return MonthUsage(Counts(total), days, self._digest.hexdigest())


def lines(runs: Billed) -> bytes:
    """The lines of the run list, without the header."""
    quantity = len(runs.ended_at)
    ids = np.frombuffer(runs.ids, dtype=f"S{ID_DIGITS}")
    assert len(ids) == quantity and bool((ids[1:] > ids[:-1]).all()), "runs are not in the order of their ids"
    # Every part of a line has its place; what a line does not have is left out at the end.
    groups = -(-len(str(int(runs.duration_us.max()))) // 3)
    table = np.empty((quantity, _DURATION + 3 * groups + 1), dtype=np.uint8)
    kept = np.ones(table.shape, dtype=np.bool_)
    digits = ids.view(np.uint8).reshape(quantity, ID_DIGITS)
    for place, start, end in _ID_PARTS:
        table[:, place : place + end - start] = digits[:, start:end]
    for place in _DASHES:
        table[:, place] = ord("-")
    table[:, _DATE - 1] = table[:, _DURATION - 1] = ord(",")
    _write_instants(table, kept, runs.ended_at)
    _write_durations(table, kept, runs.duration_us)
    table[:, -1] = ord("\n")
    return table[kept].tobytes()


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


def _table(text: str, width: int) -> Bytes:
    return np.frombuffer(text.encode(), dtype=np.uint8).reshape(-1, width)
