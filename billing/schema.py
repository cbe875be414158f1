"""Creates and upgrades the schema of both houses, by Alembic's migrations."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

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
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(engine: sa.Engine) -> bool:
    """Whether the database has the newest schema."""
    with reading(engine) as connection:
        held = MigrationContext.configure(connection).get_current_revision()
    return held == ScriptDirectory.from_config(_config()).get_current_head()
