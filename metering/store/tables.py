"""The meter's tables, in lockstep on SQLite and PostgreSQL.

Identity is (account, task run id), for ever. The first event of a run to be committed is its row in
`task_runs`; further events that differ from it, which are rare, are rows of `task_run_revisions`. Each
carries the position of its commit, so that any past cutoff can be recomputed. `usage_hours` counts the
outcomes that hold now and is written in the same transaction, so that no dashboard scans events.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_COLLATE_C = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

accounts = sa.Table(
    "meter_accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", _COLLATE_C, nullable=False, unique=True),
)

labels = sa.Table(
    "meter_labels",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("workspace", _COLLATE_C, nullable=False),
    sa.Column("flow", _COLLATE_C, nullable=False),
    sa.Column("source", _COLLATE_C, nullable=False),
    sa.UniqueConstraint("account_id", "workspace", "flow", "source"),
)

# One row a commit that held something new. On PostgreSQL positions come from a sequence of this name.
positions_sequence = sa.Sequence("meter_positions", metadata=metadata)
commits = sa.Table(
    "meter_commits",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("committed_at", sa.BigInteger, nullable=False),
)


def _statement_columns() -> list[sa.Column[int]]:
    return [
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("label_id", sa.Integer, nullable=False),
    ]


task_runs = sa.Table(
    "task_runs",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_key", sa.LargeBinary, primary_key=True),
    *_statement_columns(),
    sa.Column("fingerprint", sa.BigInteger, nullable=False),
    sa.Column("revised", sa.SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

revisions = sa.Table(
    "task_run_revisions",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_key", sa.LargeBinary, primary_key=True),
    sa.Column("fingerprint", sa.BigInteger, primary_key=True, autoincrement=False),
    *_statement_columns(),
    sqlite_with_rowid=False,
)

usage_hours = sa.Table(
    "usage_hours",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("label_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
