"""Closes a database that an installation has left: whatever still writes to it, also a process that knows
nothing of the move, is refused by the database itself."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import moves

_NAME = "installation_moved"
SAYS = "this installation has moved to another database, set BILLING_DATABASE_URL"


def close(connection: sa.Connection, tables: list[sa.Table], place: str, now: int) -> None:
    """In the transaction in which nothing else can be written."""
    connection.execute(moves.insert().values(place=place, moved_at=now))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"CREATE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{SAYS}'; END $$"
        )
    for table in tables:
        for statement in _triggers(connection.dialect.name, table.name):
            connection.exec_driver_sql(statement)


def _triggers(engine: str, table: str) -> list[str]:
    if engine == "postgresql":
        return [
            f"CREATE TRIGGER {_NAME} BEFORE INSERT OR UPDATE OR DELETE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {_NAME}()"
        ]
    return [
        f"CREATE TRIGGER {_NAME}_{table}_{what} BEFORE {what} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{SAYS}'); END"
        for what in ("INSERT", "UPDATE", "DELETE")
    ]


def left_for(connection: sa.Connection) -> str | None:
    """Where the installation of this database has moved to, if it has."""
    return connection.scalar(sa.select(moves.c.place).limit(1))


def is_closed(error: BaseException) -> bool:
    """Whether the database refused to be written since what it had is elsewhere now: who knows where will be
    written to."""
    return any(f"set {setting}" in str(error) for setting in ("BILLING_DATABASE_URL", "BILLING_EVENTS_URL"))
