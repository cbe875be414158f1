"""Events on their way to ClickHouse: the process ends at every step of the copying, or the copy is wrong."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from metering.outcome import Action
from metering.store import Correction
from metering.store.clickhouse.copying import copy_events
from metering.store.clickhouse.errors import CopyDiffers
from metering.store.clickhouse.home import complaint
from metering.store.clickhouse.schema import MARKS, STATEMENTS
from metering.store.clickhouse.store import ClickHouseEventStore
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import event
from tests.faults.killing import KillAt, Killed
from tests.stores import new_address
from tests.world import NOVEMBER_2, OCTOBER


def _fill(store: SqlEventStore) -> None:
    for number in range(5):
        first = [event(f"r-{number}-{each}", account=f"a{each % 2}") for each in range(4)]
        again = [
            event(f"r-{number - 1}-{each}", account=f"a{each % 2}", state="ROLLED_BACK") for each in (1, 2)
        ]
        store.append(first + again, NOVEMBER_2 + number)
        for action, each in ((Action.REVERSE, 0), (Action.RESTORE, 2)):
            store.correct("a0", [f"r-{number - 1}-{each}"], Correction(action, "x", "x"), NOVEMBER_2)


@pytest.mark.parametrize("engines", ["sqlite_databases", "postgres_databases"])
def test_a_copy_that_is_killed_at_any_step_goes_on(
    engines: str, clickhouse_server: str, request: pytest.FixtureRequest
) -> None:
    new_database: NewDatabase = request.getfixturevalue(engines)
    engine = new_database()
    here = SqlEventStore(engine)
    _fill(here)
    address = new_address(clickhouse_server)
    # Each attempt gets further than the one before, by about a step; in between more events come.
    step, done = 3, None
    while done is None:
        kill = KillAt(step)
        kill.listen(engine)
        try:
            done = copy_events(engine, address, switch=True, piece=4)
        except Killed:
            step += 9
        kill.forget(engine)
    there = ClickHouseEventStore(engine, address)
    assert complaint(engine, there) is None
    assert there.cutoff() == here.cutoff()
    for cutoff in range(there.cutoff().position + 1):
        for account in ("a0", "a1"):
            period = (account, OCTOBER.start, OCTOBER.end, cutoff)
            assert list(there.runs(*period)) == list(here.runs(*period))
    assert there.append([event("r-0-0", account="a0")], NOVEMBER_2) == [False]


def test_events_are_taken_until_all_that_was_there_is_copied_and_compared(
    sqlite_databases: NewDatabase, clickhouse_server: str
) -> None:
    engine = sqlite_databases()
    here = SqlEventStore(engine)
    _fill(here)
    address = new_address(clickhouse_server)
    taken: list[bool] = []

    def progress(done: int) -> None:
        try:
            taken.extend(here.append([event(f"new-{len(taken)}", account="a2")], NOVEMBER_2))
        except sqlite3.IntegrityError:
            taken.append(False)

    done = copy_events(engine, address, switch=True, piece=10, progress=progress)
    assert taken == [True] * 4 + [False]
    assert (done.accounts, done.runs, done.complete) == (3, 26, True)
    there = ClickHouseEventStore(engine, address)
    again = [event(f"new-{each}", account="a2") for each in range(5)]
    assert there.append(again, NOVEMBER_2) == [False] * 4 + [True]


_SPOILT = [
    (f"DELETE FROM {STATEMENTS} WHERE account = 'a1' AND outcome = 6", "account a1, 2026-10-03"),
    (f"DELETE FROM {MARKS} WHERE position = 1", "6 of 3. events have no mark"),
]


@pytest.mark.parametrize(("spoil", "says"), _SPOILT)
def test_a_copy_that_differs_is_found_before_any_event_is_refused(
    spoil: str, says: str, sqlite_databases: NewDatabase, clickhouse_server: str
) -> None:
    engine = sqlite_databases()
    here = SqlEventStore(engine)
    _fill(here)
    address = new_address(clickhouse_server)
    copy_events(engine, address)
    ClickHouseEventStore(engine, address).connection.tell(spoil)
    told: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *said: told.append(said[2]))
    with pytest.raises(CopyDiffers, match=says):
        copy_events(engine, address, switch=True)
    assert told and not any(each.startswith("CREATE TRIGGER") for each in told)
    assert complaint(engine, here) is None
    assert here.append([event("later")], NOVEMBER_2) == [True]


@pytest.mark.parametrize(("spoil", "says"), _SPOILT)
def test_a_copy_that_differs_at_last_is_found_and_the_database_stays_in_charge(
    spoil: str, says: str, sqlite_databases: NewDatabase, clickhouse_server: str
) -> None:
    engine = sqlite_databases()
    here = SqlEventStore(engine)
    _fill(here)
    address = new_address(clickhouse_server)
    refused: list[int] = []

    def progress(done: int) -> None:
        try:
            here.append([event("new")], NOVEMBER_2)
        except sqlite3.IntegrityError:  # what was there is compared already, and is spoilt now
            refused.append(done)
            ClickHouseEventStore(engine, address).connection.tell(spoil)

    with pytest.raises(CopyDiffers, match=says):
        copy_events(engine, address, switch=True, progress=progress)
    assert refused == [1]
    assert complaint(engine, here) is None
    assert here.append([event("later")], NOVEMBER_2) == [True]
