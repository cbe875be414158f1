"""Who writes to ClickHouse: killed, slow or twice: an event counts once and is new to one of them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from metering.outcome import Outcome
from metering.store.clickhouse.address import Address
from metering.store.clickhouse.append import insert
from metering.store.clickhouse.errors import EventsUnavailable
from metering.store.clickhouse.journal import Journal
from metering.store.clickhouse.schema import MARKS, STATEMENTS
from metering.store.clickhouse.statements import Statements
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.clickhouse.tables import inserts
from tests.conftest import NewDatabase
from tests.events import event
from tests.stores import Stores
from tests.world import NOVEMBER_2, OCTOBER


def _ids(store: ClickHouseEventStore, cutoff: int) -> list[str]:
    return [run.task_run_id for run in store.runs("acme", OCTOBER.start, OCTOBER.end, cutoff)]


def _insert(store: ClickHouseEventStore, position: int, *runs: str) -> None:
    """What a writer does between taking a position and publishing it."""
    said = Statements.of([event(run) for run in runs])
    insert(store.connection, said, [position] * len(runs), token=str(position))


@pytest.mark.parametrize("engines", ["sqlite_databases", "postgres_databases"])
def test_a_writer_that_dies_before_it_publishes_leaves_nothing_that_counts(
    engines: str, address: Address, request: pytest.FixtureRequest
) -> None:
    new_database: NewDatabase = request.getfixturevalue(engines)
    engine = new_database()
    journal = Journal(engine, pause=lambda: None)
    store = ClickHouseEventStore(engine, address, journal)
    store.append([event("before")], NOVEMBER_2)
    dead = journal.begin()
    _insert(store, dead, "lost", "before")
    # Nobody sees it, neither now nor at a position above it; who sends it again is told that it is new.
    assert store.append([event("after")], NOVEMBER_2) == [True]
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == 2
    cutoff = store.cutoff()
    assert cutoff.position > dead
    assert _ids(store, cutoff.position) == ["after", "before"]
    assert store.append([event("lost"), event("before")], NOVEMBER_2) == [True, False]
    assert _ids(store, store.cutoff().position) == ["after", "before", "lost"]
    assert _ids(store, cutoff.position) == ["after", "before"]
    store.close()


def test_a_writer_that_was_withdrawn_by_a_cutoff_takes_a_later_position(
    sqlite_databases: NewDatabase, address: Address
) -> None:
    """It is slow, not dead: the cutoff that was taken meanwhile never changes, and nothing is lost."""
    engine = sqlite_databases()
    other = ClickHouseEventStore(engine, address, Journal(engine, pause=lambda: None))
    taken: list[int] = []

    class Slow(Journal):
        def begin(self) -> int:
            position = super().begin()
            if not taken:
                other.append([event("quick")], NOVEMBER_2)
                taken.append(other.cutoff().position)
            return position

    store = ClickHouseEventStore(engine, address, Slow(engine))
    assert store.append([event("slow"), event("slow")], NOVEMBER_2) == [True, False]
    assert _ids(store, taken[0]) == ["quick"]
    assert _ids(store, store.cutoff().position) == ["quick", "slow"]
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == 2
    with engine.connect() as connection:
        assert connection.execute(sa.select(inserts.c.withdrawn)).scalars().all() == [True]


def test_of_two_writers_that_bring_the_same_event_at_once_one_is_told_that_it_is_new(
    sqlite_databases: NewDatabase, address: Address
) -> None:
    engine = sqlite_databases()
    other = ClickHouseEventStore(engine, address)
    brought: list[list[bool]] = []

    class Overtaken(Journal):
        def begin(self) -> int:
            position = super().begin()
            if not brought:
                brought.append(other.append([event("a"), event("b", state="FAILED")], NOVEMBER_2))
            return position

    store = ClickHouseEventStore(engine, address, Overtaken(engine))
    assert store.append([event("a"), event("b"), event("c")], NOVEMBER_2) == [False, True, True]
    assert brought == [[True, True]]
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == 3
    runs = list(store.runs("acme", OCTOBER.start, OCTOBER.end, store.cutoff().position))
    assert [run.outcome for run in runs] == [Outcome.BILLABLE] * 3


def test_an_insert_that_is_sent_twice_is_kept_once(clickhouse_stores: Stores) -> None:
    """As the client does where the connection broke before the answer."""
    store = clickhouse_stores.new()
    assert isinstance(store, ClickHouseEventStore)
    for _ in range(2):
        _insert(store, 7, "a")
    for table in (STATEMENTS, MARKS):
        assert store.connection.rows(f"SELECT count() FROM {table}") == [(1,)]


def test_an_insert_that_fails_is_withdrawn(sqlite_databases: NewDatabase, address: Address) -> None:
    engine = sqlite_databases()
    store = ClickHouseEventStore(engine, address)
    store.append([event("a")], NOVEMBER_2)
    store.connection.tell(f"RENAME TABLE {STATEMENTS} TO gone")
    with pytest.raises(EventsUnavailable, match=STATEMENTS):
        store.append([event("b")], NOVEMBER_2)
    store.connection.tell(f"RENAME TABLE gone TO {STATEMENTS}")
    assert store.append([event("b")], NOVEMBER_2) == [True]
    assert _ids(store, store.cutoff().position) == ["a", "b"]
