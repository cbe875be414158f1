"""Group commit: batches from many threads share commits, and each is answered for itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from metering.ingestion import PART_BESIDE, GroupCommit, Overloaded
from metering.store.sql import SqlEventStore
from tests.events import event, runs
from tests.world import NOVEMBER_2, OCTOBER


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
