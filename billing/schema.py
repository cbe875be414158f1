"""Creates and upgrades the schema of both houses, by Alembic's migrations."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from metering.database import migrating, reading

# One migration at a time on PostgreSQL; on SQLite the write lock does the same.
_MIGRATION_LOCK = 0x6D696772  # "migr"


def _config() -> Config:
    # In a wheel the migrations are package data of this house; in a checkout they lie at the top.
    here = Path(__file__).parent
    packaged = here / "migrations"
    config = Config()
    config.set_main_option("script_location", str(packaged if packaged.is_dir() else here.parent / "alembic"))
    return config


def upgrade(engine: sa.Engine) -> None:
    """Bring the database to the newest schema; nothing happens if it is there already."""
    with migrating(engine) as connection:
        lock(connection)
        to_head(connection)


def lock(connection: sa.Connection) -> None:
    """Nobody else migrates before this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def to_head(connection: sa.Connection) -> None:
    command.upgrade(_on(connection), "head")


def back_one(connection: sa.Connection) -> None:
    """Take back the last migration. Raises RuntimeError where that cannot be."""
    command.downgrade(_on(connection), "-1")


def held_revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def migrations() -> list[Script]:
    """All there are, the newest first."""
    return list(ScriptDirectory.from_config(_config()).walk_revisions())


def _on(connection: sa.Connection) -> Config:
    config = _config()
    config.attributes["connection"] = connection
    return config


def is_current(engine: sa.Engine) -> bool:
    """Whether the database has the newest schema."""
    with reading(engine) as connection:
        held = held_revision(connection)
    return held == ScriptDirectory.from_config(_config()).get_current_head()
