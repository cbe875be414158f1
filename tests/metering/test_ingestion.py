"""Group commit: batches from many threads share commits, and each is answered for itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.event import TaskRunEvent
from metering.ingestion import PART_BESIDE, GroupCommit, Overloaded
from metering.store.sql import SqlEventStore
from tests.conftest import Stores
from tests.events import event, runs
from tests.examples import share
from tests.world import NOVEMBER_2, OCTOBER

_UUID = "0199a3a4-5b6c-7d8e-9f00-1122334455"
# Runs of either kind of id, in two accounts and two flows; of some, two things are said.
_SAID = [
    event(run, account=account, flow=flow, duration_us=duration_us)
    for run in ("run-1", "run-2", f"{_UUID}01", f"{_UUID}02")
    for account in ("acme", "globex")
    for flow, duration_us in (("a", 2_000_000), ("b", 500_000))
]


def test_batches_that_overlap_and_arrive_at_once_are_counted_once(engine: sa.Engine) -> None:
    """Many wait, so commits are under way beside one another where the engine can."""
    store = SqlEventStore(engine)
    writer = GroupCommit(store, lambda: NOVEMBER_2)
    all_runs = runs(4 * store.events_a_commit // PART_BESIDE)
    batches = [all_runs[start : start + 1500] for start in range(0, len(all_runs), 500)]

    def send(number: int) -> list[list[bool]]:
        mine = batches[number:] + batches[:number]
        waiting = [writer.submit(batch) for batch in mine]
        answers = [each.result() for each in waiting]
        assert [len(each) for each in answers] == [len(batch) for batch in mine]
        return answers

    with ThreadPoolExecutor(4) as pool:
        answered = list(pool.map(send, range(4)))
    accepted = sum(sum(batch) for answers in answered for batch in answers)
    assert accepted == len(all_runs)
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == len(all_runs)
    writer.close()


def test_what_waits_is_written_before_it_stops(engine: sa.Engine) -> None:
    writer = GroupCommit(SqlEventStore(engine), lambda: NOVEMBER_2)
    waiting = [writer.submit([event(f"run-{number}")]) for number in range(20)]
    writer.close()
    assert [each.result() for each in waiting] == [[True]] * 20
    assert not writer.alive
    with pytest.raises(Overloaded):
        writer.submit([event()])


def test_a_commit_that_fails_tells_who_waits_and_the_next_one_is_kept(engine: sa.Engine) -> None:
    """The names that the failed commit learned were never kept, and are not remembered."""
    store = SqlEventStore(engine)
    writer = GroupCommit(store, lambda: NOVEMBER_2)
    unstorable = event("run-1", flow="new", duration_us=2**63)
    with pytest.raises((OverflowError, sa.exc.SQLAlchemyError)):
        writer.submit([event("run-2", flow="new"), unstorable]).result()
    assert writer.submit([event("run-2", flow="new")]).result() == [True]
    usage = store.usage("acme", OCTOBER.start, OCTOBER.end, by="month", group_by="flow")
    assert [(window.flow, window.counts.billable) for window in usage.windows] == [("new", 1)]
    writer.close()


@share(8)
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.sampled_from(_SAID), min_size=1, max_size=5)),
        min_size=1,
        max_size=6,
    )
)
def test_what_was_prepared_elsewhere_is_kept_like_events(
    stores: Stores, batches: list[tuple[bool, list[TaskRunEvent]]]
) -> None:
    """Whoever prepares a batch, and whatever shares its commit: UUIDs and texts, the same run twice."""
    store, other = stores.new(), stores.new()
    parts = [store.prepare(events) for _, events in batches]
    together = store.append_prepared(parts, NOVEMBER_2)
    assert together == other.append([event for _, events in batches for event in events], NOVEMBER_2)
    writer = GroupCommit(store, lambda: NOVEMBER_2)
    again = [
        writer.submit_prepared(part, len(events)) if elsewhere else writer.submit(events)
        for part, (elsewhere, events) in zip(parts, batches, strict=True)
    ]
    assert [each.result() for each in again] == [[False] * len(events) for _, events in batches]
    writer.close()
    for account in ("acme", "globex"):
        asked = account, OCTOBER.start, OCTOBER.end
        assert list(store.runs(*asked, store.cutoff().position)) == list(
            other.runs(*asked, other.cutoff().position)
        )
        assert store.usage(*asked, group_by="flow") == other.usage(*asked, group_by="flow")
    store.close()
    other.close()
