"""The events that scripts/bench sends, and what they must come to. The same arguments give the same events.

A source of 10 million task runs a month: 2,000 accounts, Zipf-skewed, 20 flows each in two workspaces, ids
as Prefect gives them (UUIDv7). 1 % of the events come up to two days late, 3 % come twice, and of one run in
a thousand a second event says something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metering.outcome import Outcome
from metering.period import DAY_US, SECOND_US, Month

MONTH = Month.parse("2026-10")
RUNS_A_MONTH = 10_000_000
ACCOUNTS = 2_000
FLOWS = 20
BATCH = 1_000

_GAP_US = (MONTH.end - MONTH.start) // RUNS_A_MONTH
_DURATIONS_US = np.array([400_000, 2_500_000, 4_250_000, 61_000_000])
_STATES = np.array(["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
_OUTCOMES = np.array([Outcome.BILLABLE, Outcome.FAILED, Outcome.CRASHED, Outcome.CANCELLED])

_64_BITS = (1 << 64) - 1

Ints = NDArray[np.int64]


class Runs(NamedTuple):
    """Task runs in the order in which they end, a column a field."""

    account: Ints
    high: Ints
    low: Ints
    ended_at: Ints
    duration_us: Ints
    state: Ints
    flow: Ints

    @property
    def outcome(self) -> Ints:
        """What the event of each run says."""
        short = (self.state == 0) & (self.duration_us <= SECOND_US)
        return np.where(short, int(Outcome.TOO_SHORT), _OUTCOMES[self.state])


class Load(NamedTuple):
    """Events as they travel, and what they must come to: task runs by account number and outcome."""

    events: list[bytes]
    accepted: int
    counts: Ints

    @property
    def received(self) -> int:
        return len(self.events)

    def batches(self, size: int = BATCH) -> list[bytes]:
        """JSON arrays of so many events."""
        events = self.events
        return [b"[" + b",".join(events[at : at + size]) + b"]" for at in range(0, len(events), size)]


def draw(first: int, quantity: int, seed: int) -> Runs:
    """The runs from number `first` on, of those that a source of this `seed` has. Number 0 is the first of
    October; those below it came before."""
    chance = np.random.default_rng([seed, first + (1 << 40)])
    weights = 1 / np.arange(1, ACCOUNTS + 1)
    numbers = np.arange(first, first + quantity)
    ended_at = MONTH.start + numbers * _GAP_US + chance.integers(0, _GAP_US, quantity)
    duration_us = chance.choice(_DURATIONS_US, quantity)
    milliseconds = (ended_at - duration_us) // 1000
    return Runs(
        account=chance.choice(ACCOUNTS, quantity, p=weights / weights.sum()),
        high=(milliseconds << 16) | 0x7000 | chance.integers(0, 1 << 12, quantity),
        low=chance.integers(-(1 << 63), -(1 << 62), quantity),
        ended_at=ended_at,
        duration_us=duration_us,
        state=chance.choice(4, quantity, p=[0.90, 0.07, 0.02, 0.01]),
        flow=chance.integers(0, FLOWS, quantity),
    )


def generate(quantity: int, *, first: int = 0, seed: int = 1) -> Load:
    """Events of so many runs, with those that come late, twice, or with something else to say."""
    runs = draw(first, quantity, seed)
    chance = np.random.default_rng([seed, first + (1 << 40), 1])
    events = list(_events(runs))
    outcome = runs.outcome.copy()
    conflicting = np.flatnonzero(chance.random(quantity) < 0.001)
    # Every other one takes its run back; the others say FAILED of it, which decides nothing.
    back, failed = conflicting[::2], conflicting[1::2]
    outcome[back] = int(Outcome.REVERSED)
    second = dict.fromkeys(back.tolist(), "ROLLED_BACK") | dict.fromkeys(failed.tolist(), "FAILED")
    second = {run: state for run, state in second.items() if _with_state(events[run], state) != events[run]}
    twice = np.flatnonzero(chance.random(quantity) < 0.03)
    late = np.flatnonzero(chance.random(quantity) < 0.01)
    # Where in the order of sending each event comes.
    place = np.arange(quantity, dtype=float)
    place[late] += chance.random(len(late)) * min(quantity, 2 * DAY_US // _GAP_US)
    again = place[twice] + chance.integers(1, 5_000, len(twice))
    other = np.array([place[run] + 0.5 for run in second])
    sent = [
        *events,
        *(events[run] for run in twice),
        *(_with_state(events[run], second[run]) for run in second),
    ]
    order = np.argsort(np.concatenate([place, again, other]), kind="stable")
    lines = [sent[index] for index in order]
    counts = np.zeros((ACCOUNTS, len(Outcome)), dtype=np.int64)
    np.add.at(counts, (runs.account, outcome), 1)
    return Load(lines, quantity + len(second), counts)


def counts_of(runs: Runs) -> Ints:
    """Task runs by account number and outcome."""
    counts = np.zeros((ACCOUNTS, len(Outcome)), dtype=np.int64)
    np.add.at(counts, (runs.account, runs.outcome), 1)
    return counts


def account_name(number: int) -> str:
    return f"account-{number:04d}"


def _events(runs: Runs) -> Iterator[bytes]:
    """Each run's event as JSON, about 300 bytes."""
    started = _text_of(runs.ended_at - runs.duration_us)
    ended = _text_of(runs.ended_at)
    ids = [_uuid(high, low) for high, low in zip(runs.high.tolist(), runs.low.tolist(), strict=True)]
    seconds = {each: f"{each / SECOND_US:.6f}" for each in _DURATIONS_US.tolist()}
    rows = zip(
        runs.account.tolist(), ids, _STATES[runs.state].tolist(), started, ended, runs.duration_us.tolist(),
        runs.flow.tolist(), strict=True,
    )  # fmt: skip
    for account, run, state, start, end, duration_us, flow in rows:
        yield (
            f'{{"account":"account-{account:04d}","task_run_id":"{run}","state":"{state}",'
            f'"started_at":"{start}Z","ended_at":"{end}Z","duration":"{seconds[duration_us]}",'
            f'"workspace":"{"prod" if flow % 2 else "dev"}","flow":"flow-{flow}","task":"load",'
            '"source":"prefect"}'
        ).encode()


def _text_of(instants: Ints) -> list[str]:
    return np.datetime_as_string(instants.astype("datetime64[us]")).tolist()  # type: ignore[no-any-return]


def _uuid(high: int, low: int) -> str:
    digits = f"{high:016x}{low & _64_BITS:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _with_state(event: bytes, state: str) -> bytes:
    before, _, rest = event.partition(b'"state":"')
    return before + b'"state":"' + state.encode() + rest[rest.index(b'"') :]
