"""What is kept of halves. Instants in microseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from metering.store.tables import metadata

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

run_halves = sa.Table(
    "run_halves",
    metadata,
    sa.Column("account", _TEXT, primary_key=True),
    sa.Column("task_run_id", _TEXT, primary_key=True),
    sa.Column("fingerprint", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("flow", sa.Text, nullable=False),
    sa.Column("flow_run_id", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    # When we got it, by our clock: halves are forgotten by this.
    sa.Column("kept_at", sa.BigInteger, nullable=False, index=True),
    # Whether what it says with the others is metered; else it waits for one.
    sa.Column("settled", sa.SmallInteger, nullable=False),
)
sa.Index(
    "run_halves_waiting",
    run_halves.c.account,
    run_halves.c.task_run_id,
    sqlite_where=run_halves.c.settled == 0,
    postgresql_where=run_halves.c.settled == 0,
)
