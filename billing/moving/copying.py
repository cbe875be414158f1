"""Every table of an installation to another database, in one transaction.

Nothing is written to the old database meanwhile, and both are compared before the new one commits: killed at
any point, the new one is as empty as before, or complete and equal. A repetition finds out which. Whoever
writes meanwhile waits, or is told to try again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.errors import MoveDiffers, Refused
from billing.moving.closing import close, left_for
from billing.moving.tables import Content, Digest, content, count, is_new, pages, tables
from billing.schema import is_current, upgrade
from metering.database import reading, writing
from metering.store.changes import settle, usage_changes
from metering.store.tables import positions_sequence

Progress = Callable[[int, int | None], None]

# Types in which PostgreSQL takes rows in binary; the narrow before those they are a kind of.
_BINARY = {
    sa.SmallInteger: "int2",
    sa.BigInteger: "int8",
    sa.Integer: "int4",
    sa.Boolean: "bool",
    sa.LargeBinary: "bytea",
    sa.Text: "text",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """Where an installation is now, and the rows of its tables."""

    place: str
    rows: dict[str, int]

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {"place": self.place, "rows": self.rows, "total": sum(self.rows.values())}


class _Plan(NamedTuple):
    here: sa.Connection
    there: sa.Connection
    total: int
    progress: Progress


def move(old: sa.Engine, new: sa.Engine, now: int, *, progress: Progress = lambda done, total: None) -> Moved:
    """Copy all tables, compare them, and close the old database. Raises Refused, MoveDiffers."""
    if not is_current(old):
        raise Refused("the database has no schema yet, or an older one; run: billing init")
    upgrade(new)
    place = new.url.render_as_string(hide_password=True)
    with _alone(old) as here:
        if left := left_for(here):
            raise Refused(f"this installation has moved to {left} already; set BILLING_DATABASE_URL to it")
        with writing(new) as there:
            found = _copy(_Plan(here, there, sum(count(here, each) for each in tables()), progress))
        close(here, tables(), place, now)
    return Moved(place, {name: held.rows for name, held in found.items()})


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One snapshot, which nobody changes: writers wait."""
    if engine.dialect.name != "postgresql":
        with writing(engine) as connection:
            yield connection
        return
    with reading(engine) as connection:
        names = ", ".join(table.name for table in tables())
        connection.exec_driver_sql(f"LOCK TABLE {names}, {usage_changes.name} IN SHARE ROW EXCLUSIVE MODE")
        settle(connection)
        yield connection


def _copy(plan: _Plan) -> dict[str, Content]:
    if not is_new(plan.there) or left_for(plan.there):
        return _already_there(plan)
    if plan.there.dialect.name == "sqlite":
        # Invoices refer to one another.
        plan.there.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    done, found = 0, {}
    for table in tables():
        digest = Digest()
        plan.there.execute(table.delete())
        with _filling(plan.there, table) as fill:
            for page in pages(plan.here, table):
                digest.add(page)
                fill(page)
                done += len(page)
                plan.progress(done, plan.total)
        found[table.name] = digest.content()
    _continue_numbers(plan)
    for table in tables():
        held = content(plan.there, table)
        if held != found[table.name]:
            raise MoveDiffers(
                f"{table.name} differs after the copy: {found[table.name].rows:,} rows here, {held.rows:,}"
                " there, or what they say; nothing was kept, and this database stays in charge; please"
                " report it"
            )
    return found


def _already_there(plan: _Plan) -> dict[str, Content]:
    """A move that ended after its copy and before its last step is only ended. Raises Refused."""
    found = {}
    for table in tables():
        if count(plan.here, table) == count(plan.there, table):
            found[table.name] = content(plan.here, table)
            if found[table.name] == content(plan.there, table):
                continue
        raise Refused(
            f"the other database is not empty, and {table.name} is not what it is here; name an empty one"
        )
    return found


@contextmanager
def _filling(connection: sa.Connection, table: sa.Table) -> Iterator[Callable[[list[tuple[Any, ...]]], None]]:
    """Adds rows to a table: in one statement on PostgreSQL, which checks references at its end."""
    names = [column.name for column in table.columns]
    if connection.dialect.name != "postgresql":
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608

        def insert(rows: list[tuple[Any, ...]]) -> None:
            connection.exec_driver_sql(statement, rows)

        yield insert
        return
    driver: Any = connection.connection.driver_connection
    copying = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    with driver.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types([_binary(column) for column in table.columns])

        def fill(rows: list[tuple[Any, ...]]) -> None:
            for row in rows:
                copy.write_row(row)

        yield fill


def _binary(column: sa.Column[Any]) -> str:
    return next(name for kind, name in _BINARY.items() if isinstance(column.type, kind))


def _continue_numbers(plan: _Plan) -> None:
    """What PostgreSQL counts by itself goes on after what was copied."""
    if plan.there.dialect.name != "postgresql":
        return
    for table in tables():
        column = table.autoincrement_column
        if column is not None:
            plan.there.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'),"  # noqa: S608
                f" (SELECT max({column.name}) FROM {table.name}))"
            )
    used = [
        plan.there.scalar(sa.select(sa.func.max(table.c.position)))
        for table in tables()
        if table.name in ("meter_commits", "meter_inserts")
    ]
    highest = max((each for each in used if each), default=None)
    if highest is not None:
        plan.there.exec_driver_sql(f"SELECT setval('{positions_sequence.name}', {highest})")
