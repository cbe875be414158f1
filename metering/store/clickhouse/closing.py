"""Closes the SQL store for events and corrections: what any process writes, also one that knows nothing of
it, fails.

A service that still runs with the old settings then turns its senders away, who send again to the new one,
instead of keeping events where nobody will look.
"""

from __future__ import annotations

import sqlalchemy as sa

from metering.database import writing

_NAME = "task_runs_moved"
_SAYS = "the events of this database are kept in ClickHouse, set BILLING_EVENTS_URL"

_CLOSE = {
    "sqlite": (
        f"CREATE TRIGGER {_NAME} BEFORE INSERT ON task_runs BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END",
        # A correction marks the runs.
        f"CREATE TRIGGER {_NAME}_too BEFORE UPDATE ON task_runs BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END",
    ),
    "postgresql": (
        f"CREATE OR REPLACE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_SAYS}'; END $$",
        # Waits for the writers under way.
        f"CREATE TRIGGER {_NAME} BEFORE INSERT OR UPDATE ON task_runs FOR EACH STATEMENT"
        f" EXECUTE FUNCTION {_NAME}()",
    ),
}
_OPEN = {
    "sqlite": (f"DROP TRIGGER IF EXISTS {_NAME}", f"DROP TRIGGER IF EXISTS {_NAME}_too"),
    "postgresql": (
        f"DROP TRIGGER IF EXISTS {_NAME} ON task_runs",
        f"DROP FUNCTION IF EXISTS {_NAME}()",
    ),
}


def close_for_events(engine: sa.Engine) -> None:
    """When this returns, whatever was inserted before is committed, and nothing is from here on."""
    _run(engine, _OPEN[engine.dialect.name] + _CLOSE[engine.dialect.name])


def open_for_events(engine: sa.Engine) -> None:
    """As it was before; nothing happens where it was not closed."""
    _run(engine, _OPEN[engine.dialect.name])


def _run(engine: sa.Engine, statements: tuple[str, ...]) -> None:
    with writing(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
