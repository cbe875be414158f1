"""What starts and ends of runs come to depends on which were sent, and on nothing else: not on their order,
repetition, how they are split over requests, the engine, or a crash between keeping and metering them.
Checked against an outcome computed here, from every pair of a start and an end."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.database import reading
from metering.outcome import precedence
from metering.pairing import state
from metering.pairing.half import STARTED, Half, pair
from metering.pairing.keeping import keep
from metering.period import SECOND_US, Month
from metering.store.sql import SqlEventStore
from metering.usage import Run
from tests.conftest import NewDatabase
from tests.examples import share

OCTOBER = Month.parse("2026-10")
NOW = OCTOBER.end
_ACCOUNTS = itertools.count()

_INSTANTS = st.sampled_from(
    [OCTOBER.end + offset for offset in (-3 * SECOND_US, -SECOND_US - 1, -SECOND_US, -1, 0, 1, SECOND_US)]
)
_STATES = st.sampled_from([STARTED, STARTED, "COMPLETED", "COMPLETED", "FAILED", "CANCELLED"])
_HALVES = st.builds(
    lambda run, said, at, flow: Half(
        "", run, said, at, "", "" if said == STARTED else flow, "", "openlineage"
    ),
    st.sampled_from(["r", "r", "0192d3a4-5b6c-7d8e-9f00-112233445566"]),
    _STATES,
    _INSTANTS,
    st.sampled_from(["a", "B"]),
)

Delivery = list[tuple[list[Half], bool]]
"""Batches, and whether the process is killed once the batch is kept and before it is metered."""


@st.composite
def _deliveries(draw: st.DrawFn, halves: Sequence[Half]) -> Delivery:
    repeated = draw(st.lists(st.sampled_from(halves), max_size=4)) if halves else []
    order = draw(st.permutations([*halves, *repeated]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    batches = [list(order[a:b]) for a, b in itertools.pairwise([0, *cuts, len(order)])]
    return [(batch, draw(st.booleans())) for batch in batches]


@st.composite
def _two_deliveries(draw: st.DrawFn) -> tuple[list[Half], Delivery, Delivery]:
    halves = draw(st.lists(_HALVES, max_size=9, unique=True))
    return halves, draw(_deliveries(halves)), draw(_deliveries(halves))


def _expected(halves: Sequence[Half]) -> dict[str, tuple[str, int, int, str]]:
    """Reason, end, duration and flow of each run, from every pair."""
    starts = [each for each in halves if each.state == STARTED]
    rank = ["billable", "too_short", "cancelled", "failed"]
    said: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    for end in halves:
        if end.state == "COMPLETED":
            for start in starts:
                if start.task_run_id == end.task_run_id and start.at <= end.at:
                    took = end.at - start.at
                    reason = "billable" if took > 1_000_000 else "too_short"
                    said[end.task_run_id].append((rank.index(reason), end.at, took, end.flow))
        elif end.state != STARTED:
            said[end.task_run_id].append((rank.index(end.state.lower()), end.at, 0, end.flow))
    return {run: (rank[min(each)[0]], *min(each)[1:]) for run, each in said.items()}


def _delivered(engine: sa.Engine, delivery: Delivery) -> tuple[list[Run], list[Half], int]:
    """What is held in the end: runs, halves that wait, and how many halves were called new."""
    account = f"account-{next(_ACCOUNTS)}"
    store = SqlEventStore(engine)
    new = 0
    for batch, is_killed in delivery:
        own = [_of(account, half) for half in batch]
        if is_killed:
            new += sum(keep(engine, own, NOW).is_new)
        else:
            new += sum(store.append_halves(own, NOW))
    store.catch_up(NOW)
    runs = list(store.runs(account, OCTOBER.start, Month.parse("2026-12").start, 2**62))
    with reading(engine) as connection:
        waiting = state.waiting_halves(connection, account, 1000)
    assert store.catch_up(NOW) >= 0
    assert list(store.runs(account, OCTOBER.start, Month.parse("2026-12").start, 2**62)) == runs
    return runs, [_of("", half) for half in waiting], new


def _of(account: str, half: Half) -> Half:
    return Half(account, half.task_run_id, half.state, half.at, half.workspace, half.flow, "", half.source)


def _waiting(halves: Sequence[Half]) -> set[Half]:
    """A start until an end that is not before it is held; a completion until a start that is not after it."""

    def waits(half: Half) -> bool:
        others = [each for each in halves if each.task_run_id == half.task_run_id]
        if half.state == STARTED:
            return not any(each.state != STARTED and each.at >= half.at for each in others)
        return half.state == "COMPLETED" and not any(
            each.state == STARTED and each.at <= half.at for each in others
        )

    return {half for half in halves if waits(half)}


@given(st.lists(_HALVES.filter(lambda half: half.task_run_id == "r"), max_size=8, unique=True), st.randoms())
def test_what_is_metered_on_the_way_never_wins(halves: list[Half], chance: Any) -> None:
    """The events of every state in between stay; with them the run comes to what all pairs would."""
    chance.shuffle(halves)
    metered = [event for held in range(len(halves) + 1) for event in pair(halves[:held]).events]
    best = min((event.statement for event in metered), key=precedence, default=None)
    found = best and (best.outcome.reason, best.ended_at, best.duration_us, best.flow)
    assert found == _expected(halves).get("r")
    settled = {half for held in range(len(halves) + 1) for half in pair(halves[:held]).settled}
    assert set(halves) - settled == _waiting(halves)


@pytest.fixture(scope="module")
def engines(sqlite_databases: NewDatabase, postgres_databases: NewDatabase) -> list[sa.Engine]:
    return [sqlite_databases(), postgres_databases()]


@share(20)
@given(_two_deliveries())
def test_runs_depend_on_the_set_of_halves(engines: list[sa.Engine], drawn: Any) -> None:
    halves, *deliveries = drawn
    for engine, delivery in itertools.product(engines, deliveries):
        runs, waiting, new = _delivered(engine, delivery)
        found = {
            run.task_run_id: (run.outcome.reason, run.ended_at, run.duration_us, run.flow) for run in runs
        }
        assert found == _expected(halves)
        assert set(waiting) == _waiting(halves) and len(waiting) == len(set(waiting))
        assert new == len(halves)
