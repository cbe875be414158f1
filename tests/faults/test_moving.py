"""A whole installation on its way to another database: the process ends at any step, or the copy is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from billing.errors import MoveDiffers, Refused
from billing.moving import copying
from billing.moving.closing import left_for
from billing.moving.copying import move
from billing.moving.tables import content, count, is_new, tables
from metering.database import reading, writing
from metering.outcome import Action
from metering.store import Correction
from metering.store.sql import SqlEventStore
from metering.store.tables import commits, labels
from tests.conftest import NewDatabase
from tests.events import event
from tests.faults.killing import KillAt, Killed
from tests.world import NOVEMBER_2, OCTOBER, World

_WAYS = [
    ("sqlite_databases", "postgres_databases"),
    ("postgres_databases", "sqlite_databases"),
    ("sqlite_databases", "sqlite_databases"),
]


@pytest.fixture(params=_WAYS, ids=["to_postgres", "to_sqlite", "to_another_file"])
def databases(request: pytest.FixtureRequest) -> tuple[NewDatabase, NewDatabase]:
    old, new = (request.getfixturevalue(name) for name in request.param)
    return old, new


def _installation(engine: sa.Engine) -> World:
    world = World(engine)
    world.service.init()
    world.store.append([event("a"), event("b", workspace="w", flow="f"), event("c")], NOVEMBER_2)
    world.store.append([event("a", state="ROLLED_BACK"), event("d", account="other")], NOVEMBER_2)
    world.store.correct("acme", ["a"], Correction(Action.RESTORE, "a dispute", "ann"), NOVEMBER_2)
    world.store.settle()
    return world


def _contents(engine: sa.Engine) -> dict[str, Any]:
    with reading(engine) as connection:
        return {table.name: content(connection, table) for table in tables()}


def test_all_tables_of_both_houses_move(sqlite_databases: NewDatabase) -> None:
    """Whoever adds a table need not think of it."""
    held = set(sa.inspect(sqlite_databases()).get_table_names())
    assert held == {table.name for table in tables()} | {"installation_moves", "alembic_version"}


def test_a_move_that_is_killed_at_any_step_is_repeated(databases: tuple[NewDatabase, NewDatabase]) -> None:
    """Nobody is ever without an installation that takes what comes, and there are never two."""
    old, new = databases[0](), databases[1]()
    _installation(old)
    before = _contents(old)
    moved, step = None, 1
    while moved is None:
        kill = KillAt(step)
        for engine in (old, new):
            kill.listen(engine)
        try:
            moved = move(old, new, NOVEMBER_2)
        except Killed:
            step += 1
        for engine in (old, new):
            kill.forget(engine)
        with reading(old) as connection:
            closed = left_for(connection) is not None
        assert _contents(old) == before
        if closed:
            assert _contents(new) == before
    assert step > 5 and closed
    assert moved.rows == {name: held.rows for name, held in before.items()}


def test_what_moved_goes_on_where_it_was_and_the_old_database_takes_nothing(
    databases: tuple[NewDatabase, NewDatabase],
) -> None:
    old, new = databases[0](), databases[1]()
    here = _installation(old).store
    cutoff = here.cutoff()
    runs = list(here.runs("acme", OCTOBER.start, OCTOBER.end, cutoff.position))
    move(old, new, NOVEMBER_2)
    with pytest.raises(Exception, match="set BILLING_DATABASE_URL"):
        here.append([event("late")], NOVEMBER_2)
    for statement in (commits.delete(), commits.update().values(committed_at=0)):
        with pytest.raises(sa.exc.DBAPIError, match="set BILLING_DATABASE_URL"), writing(old) as connection:
            connection.execute(statement)
    with pytest.raises(Refused, match="moved"):
        move(old, databases[1](), NOVEMBER_2)
    there = SqlEventStore(new)
    assert there.cutoff() == cutoff
    assert list(there.runs("acme", OCTOBER.start, OCTOBER.end, cutoff.position)) == runs
    # Numbers and positions go on after those that were copied.
    more = [event("a"), event("e", account="third", flow="new")]
    assert there.append(more, NOVEMBER_2) == [False, True]
    assert there.cutoff().position > cutoff.position
    with reading(new) as connection:
        assert count(connection, labels) == 4
    assert list(there.runs("acme", OCTOBER.start, OCTOBER.end, cutoff.position)) == runs


def test_a_database_that_holds_something_else_is_refused(databases: tuple[NewDatabase, NewDatabase]) -> None:
    old, new = databases[0](), databases[1]()
    _installation(old)
    SqlEventStore(new).append([event("theirs")], NOVEMBER_2)
    held = _contents(new)
    with pytest.raises(Refused, match="not empty"):
        move(old, new, NOVEMBER_2)
    assert _contents(new) == held
    assert SqlEventStore(old).append([event("late")], NOVEMBER_2) == [True]


def test_a_copy_that_differs_is_found_and_nothing_of_it_kept(
    databases: tuple[NewDatabase, NewDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a row were lost, or changed, on the way: the counts may agree, the digests do not."""
    old, new = databases[0](), databases[1]()
    _installation(old)
    right = copying._continue_numbers

    def wrong(plan: Any) -> None:
        right(plan)
        plan.there.execute(commits.update().where(commits.c.position == 2).values(committed_at=1))

    monkeypatch.setattr(copying, "_continue_numbers", wrong)
    with pytest.raises(MoveDiffers, match="meter_commits differs"):
        move(old, new, NOVEMBER_2)
    with reading(new) as connection:
        assert is_new(connection)
    assert SqlEventStore(old).append([event("late")], NOVEMBER_2) == [True]
    monkeypatch.undo()
    move(old, new, NOVEMBER_2)
    assert _contents(new) == _contents(old)


def test_counts_that_were_put_off_move_as_counts(
    postgres_databases: NewDatabase, sqlite_databases: NewDatabase
) -> None:
    old, new = postgres_databases(), sqlite_databases()
    here = _installation(old).store
    here.append([event("e"), event("a", state="FAILED")], NOVEMBER_2)
    counts = here.usage("acme", OCTOBER.start, OCTOBER.end, by="hour", group_by="flow")
    move(old, new, NOVEMBER_2)
    assert SqlEventStore(new).usage("acme", OCTOBER.start, OCTOBER.end, by="hour", group_by="flow") == counts
    assert here.usage("acme", OCTOBER.start, OCTOBER.end, by="hour", group_by="flow") == counts
