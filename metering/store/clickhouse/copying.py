"""An installation's events from its SQL database to ClickHouse, while it runs.

What was committed never changes, and each statement keeps the position of its commit: so the copy can be
made in any number of passes, each from the commit where the last one ended, and any cutoff that an invoice
names sees the same events there as here. The last pass closes the SQL store first, after one that found all
to be equal while it was open. Killed at any point, it goes on where it was; a piece that is sent twice is
the same rows twice, which count once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from metering.database import reading, writing
from metering.store.clickhouse.address import Address
from metering.store.clickhouse.append import insert
from metering.store.clickhouse.closing import close_for_events, open_for_events
from metering.store.clickhouse.comparing import compare
from metering.store.clickhouse.connection import Connection
from metering.store.clickhouse.errors import CopyDiffers, CopyRefused
from metering.store.clickhouse.home import Home, home_of, knows, move_in
from metering.store.clickhouse.schema import MARKS, STATEMENTS, migrate
from metering.store.clickhouse.statements import Statements
from metering.store.clickhouse.tables import homes
from metering.store.sql import SqlEventStore
from metering.store.tables import accounts, labels, revisions, task_runs

# Statements in one insert.
PIECE = 50_000

_TABLES = {"runs": task_runs, "revisions": revisions}

Progress = Callable[[int], None]


class Step(msgspec.Struct, frozen=True):
    """How far a pass has come: it copies commits up to `to`; of `table`, rows are copied up to the key
    `after`."""

    to: int
    table: str = "runs"
    after: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Copied:
    """What a call did. `position` is the last commit that is there; `complete`: it is the last there is, and
    events are kept there from now on."""

    place: str
    position: int
    statements: int
    accounts: int
    runs: int
    complete: bool

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "place": self.place,
            "position": self.position,
            "statements": self.statements,
            "accounts": self.accounts,
            "runs": self.runs,
            "complete": self.complete,
        }


def copy_events(
    engine: sa.Engine,
    address: Address,
    *,
    switch: bool = False,
    piece: int = PIECE,
    progress: Progress = lambda done: None,
) -> Copied:
    """Copy what was committed since the last pass, and compare all that is there with what is here. With
    `switch` the SQL store takes no events after that, what came meanwhile is copied, and if all agrees
    ClickHouse is the home of the events; if not, it takes them again.

    Raises CopyRefused, CopyDiffers, EventsUnavailable.
    """
    migrate(address)
    clickhouse = Connection(address)
    home = move_in(engine, clickhouse)
    if home.complete or not knows(clickhouse, home):
        raise CopyRefused(f"the events of this database are at {home.place}, or on the way to it; copy there")
    open_for_events(engine)
    done = _pass(engine, clickhouse, home, piece, progress)
    if not switch:
        return done
    if home.under_way:
        _pass(engine, clickhouse, _again(engine), piece, progress)
    # Events are refused from here on: what is left to copy is what came during the last pass.
    close_for_events(engine)
    try:
        done = _pass(engine, clickhouse, _again(engine), piece, progress)
    except BaseException:
        open_for_events(engine)
        raise
    with writing(engine) as connection:
        connection.execute(homes.update().values(complete=True))
    return Copied(done.place, done.position, done.statements, done.accounts, done.runs, complete=True)


def _pass(engine: sa.Engine, clickhouse: Connection, home: Home, piece: int, progress: Progress) -> Copied:
    """A pass that was begun is ended first, with the commit that it was to end with."""
    step = (
        msgspec.json.decode(home.under_way, type=Step)
        if home.under_way
        else Step(SqlEventStore(engine).cutoff().position)
    )
    for name in list(_TABLES)[list(_TABLES).index(step.table) :]:
        begin = step if step.table == name else Step(step.to, name)
        for rows, now_at in _pieces(engine, begin, home.copied_to, piece):
            block, positions = _columns(rows)
            token = "-".join(map(str, (home.id, begin.to, name, *now_at.after)))
            insert(clickhouse, block, positions, token)
            _remember(engine, under_way=msgspec.json.encode(now_at).decode())
            progress(len(rows))
    compared = compare(engine, clickhouse, step.to)
    _compare_marks(engine, clickhouse, step.to)
    _remember(engine, copied_to=step.to, under_way="")
    held = int(clickhouse.rows(f"SELECT count() FROM {STATEMENTS}")[0][0])
    return Copied(home.place, step.to, held, *compared, complete=False)


def _again(engine: sa.Engine) -> Home:
    found = home_of(engine)
    assert found is not None
    return found


def _remember(engine: sa.Engine, **how_far: object) -> None:
    with writing(engine) as connection:
        connection.execute(homes.update().values(**how_far))


def _pieces(
    engine: sa.Engine, step: Step, since: int, piece: int
) -> Iterator[tuple[list[sa.Row[Any]], Step]]:
    """Rows of one table that were committed after `since`, in the order of its key."""
    table = _TABLES[step.table]
    key = list(table.primary_key.columns)
    query = (
        sa.select(table, accounts.c.account, labels.c.workspace, labels.c.flow, labels.c.source)
        .join(accounts, accounts.c.id == table.c.account_id)
        .join(labels, labels.c.id == table.c.label_id)
        .where(table.c.position > since, table.c.position <= step.to)
        .order_by(*key)
        .limit(piece)
    )
    after = step.after
    while True:
        further = query
        if after:
            last = [bytes.fromhex(each) if isinstance(each, str) else each for each in after]
            further = query.where(sa.tuple_(*key) > sa.tuple_(*last))
        with reading(engine) as connection:
            rows = list(connection.execute(further))
        if not rows:
            return
        ended = [getattr(rows[-1], column.name) for column in key]
        after = tuple(each if isinstance(each, int) else bytes(each).hex() for each in ended)
        yield rows, Step(step.to, step.table, after)


def _columns(rows: list[sa.Row[Any]]) -> tuple[Statements, list[int]]:
    block = Statements.of_rows(
        (
            row.account,
            row.run_key,
            row.fingerprint,
            row.outcome,
            row.ended_at,
            row.duration_us,
            row.workspace,
            row.flow,
            row.source,
        )
        for row in rows
    )
    return block, [row.position for row in rows]


def _compare_marks(engine: sa.Engine, clickhouse: Connection, cutoff: int) -> None:
    """What tells a duplicate is there for each statement. Raises CopyDiffers."""
    with reading(engine) as connection:
        kept = sum(
            connection.scalar(sa.select(sa.func.count()).where(table.c.position <= cutoff)) or 0
            for table in _TABLES.values()
        )
    copied = int(clickhouse.rows(f"SELECT count() FROM {MARKS} WHERE position <= {cutoff}")[0][0])
    if copied < kept:
        raise CopyDiffers(
            f"the copy differs from the database: {kept - copied:,} of {kept:,} events have no mark that"
            " would tell them from new ones; events are kept in the database as before; please report it"
        )
