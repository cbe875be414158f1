"""Keeps halves, and meters what they come to.

Four steps, each durable before the next: keep the halves; read all that is held of their runs; meter the
pairs; note which halves are settled. Of two requests that bring a run's halves at once, the one that commits
second reads both. A crash in between leaves halves that are not settled, which `catch_up` finds; to do any of
it twice changes nothing, since a pair that is metered again is a duplicate.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from metering.database import reading, writing
from metering.event import TaskRunEvent
from metering.pairing import state
from metering.pairing.half import Half, pair
from metering.period import DAY_US, format_instant

_log = logging.getLogger("metering.pairing")

# How long halves are kept from when they came. A run whose halves come further apart is not metered.
KEPT_DAYS = 62
_RUNS_AT_ONCE = 5000

Meter = Callable[[Sequence[TaskRunEvent]], object]
"""Makes events durable and counted before it returns."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A batch that is kept. `is_new`: for each half whether it was not held. `events` are to be metered, and
    then `settled` to be noted."""

    is_new: list[bool]
    events: list[TaskRunEvent]
    settled: list[Half]


def keep(engine: sa.Engine, halves: Sequence[Half], now: int) -> Kept:
    """Keep a batch, and find what it comes to with what is held."""
    if not halves:
        return Kept([], [], [])
    with writing(engine) as connection:
        added = state.insert(connection, halves, now)
    is_new = []
    for half in halves:
        key = (half.account, half.task_run_id, half.fingerprint)
        is_new.append(key in added)
        added.discard(key)  # given twice in one batch, the second is a duplicate
    events, settled = _paired(engine, {(half.account, half.task_run_id) for half in halves})
    return Kept(is_new, events, settled)


def settle(engine: sa.Engine, kept: Kept) -> None:
    """Once the events are metered."""
    if kept.settled:
        with writing(engine) as connection:
            state.settle(connection, kept.settled)


def keep_and_meter(engine: sa.Engine, halves: Sequence[Half], meter: Meter, now: int) -> list[bool]:
    """All steps; which of the halves were not held."""
    kept = keep(engine, halves, now)
    meter(kept.events)
    settle(engine, kept)
    return kept.is_new


def catch_up(engine: sa.Engine, meter: Meter) -> int:
    """Meter what a crash left; how many runs were looked at. Cheap where nothing waits."""
    with reading(engine) as connection:
        runs = state.left_over(connection)
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        events, settled = _paired(engine, runs[start : start + _RUNS_AT_ONCE])
        meter(events)
        settle(engine, Kept([], events, settled))
    return len(runs)


def forget_old(engine: sa.Engine, now: int) -> list[state.Waiting]:
    """Drop what came too long ago; those that still waited for another half are told, and in the log."""
    with writing(engine) as connection:
        dropped = state.forget(connection, now - KEPT_DAYS * DAY_US)
    for each in dropped:
        _log.error(
            "account %s: %d starts and %d ends of runs had no other half for %d days and are dropped, not "
            "metered; the oldest is of %s",
            each.account,
            each.starts,
            each.ends,
            KEPT_DAYS,
            format_instant(each.oldest),
        )
    return dropped


def _paired(engine: sa.Engine, runs: Iterable[state.RunId]) -> tuple[list[TaskRunEvent], list[Half]]:
    events: list[TaskRunEvent] = []
    settled: list[Half] = []
    with reading(engine) as connection:
        for halves in state.of_runs(connection, runs):
            found = pair(halves)
            events += found.events
            settled += found.settled
    return events, settled
