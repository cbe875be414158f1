"""The meter's tables, in lockstep on SQLite and PostgreSQL.

Identity is (account, task run id), for ever. The first event of a run to be committed is its row in
`task_runs`; further events that differ from it, which are rare, are rows of `task_run_revisions`. Each
carries the position of its commit, so that any past cutoff can be recomputed; so do the operator's
corrections, `task_run_corrections`. `usage_hours`, `usage_days`
(which alone tells flows and workspaces apart: by the hour there would be nearly as many rows as runs) and
`usage_months` count the outcomes that hold now. They are written in the same transaction.

What is written together lies together: runs by their bucket (see `run_key`), which for ids that tell their
time is a quarter of an hour or so of it, and counters by their hour, each before the account. A commit then
touches a few pages, however many accounts it has runs of, and however much is held.
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

# A writer holds this advisory lock, shared, for its transaction; who needs a cutoff takes it alone for an
# instant. So positions follow the order of commits also with several writers.
COMMIT_LOCK = 0x6D657465  # "mete"

# One row a commit that held something new. On PostgreSQL positions come from a sequence of this name.
positions_sequence = sa.Sequence("meter_positions", metadata=metadata)
commits = sa.Table(
    "meter_commits",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("committed_at", sa.BigInteger, nullable=False),
)


def _statement_columns() -> list[sa.Column[int]]:
    """The widest first: PostgreSQL aligns each column to its width."""
    return [
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("label_id", sa.Integer, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
    ]


task_runs = sa.Table(
    "task_runs",
    metadata,
    sa.Column("fingerprint", sa.BigInteger, nullable=False),
    *_statement_columns(),
    sa.Column("revised", sa.SmallInteger, nullable=False),
    sa.Column("bucket", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("run_key", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("bucket", "account_id", "run_key"),
    sqlite_with_rowid=False,
)

revisions = sa.Table(
    "task_run_revisions",
    metadata,
    sa.Column("fingerprint", sa.BigInteger, nullable=False),
    *_statement_columns(),
    sa.Column("bucket", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("run_key", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("account_id", "run_key", "fingerprint"),
    sqlite_with_rowid=False,
)

# The operator's own word on runs: only ever added to, and of each run the last one holds. `place` numbers the
# rows of a commit, in the order in which the runs were named. A run that has one is `revised`. Where events
# are kept in ClickHouse, these are kept here.
corrections = sa.Table(
    "task_run_corrections",
    metadata,
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("action", sa.SmallInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("bucket", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("run_key", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("account_id", "run_key", "position"),
    sa.UniqueConstraint("position", "place"),
    sqlite_with_rowid=False,
)

# Which buckets hold runs that end in a month (months since 1970-01), whatever the account. Rows are never
# removed: a bucket may be named whose runs were revised since.
run_buckets = sa.Table(
    "run_buckets",
    metadata,
    sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

usage_hours = sa.Table(
    "usage_hours",
    metadata,
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("hour", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.PrimaryKeyConstraint("hour", "account_id", "outcome"),
    sqlite_with_rowid=False,
)

usage_days = sa.Table(
    "usage_days",
    metadata,
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("label_id", sa.Integer, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.PrimaryKeyConstraint("day", "account_id", "label_id", "outcome"),
    sqlite_with_rowid=False,
)

# `position` is that of the last commit which changed the month: up to it, the counters are not of the past.
usage_months = sa.Table(
    "usage_months",
    metadata,
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("month", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.PrimaryKeyConstraint("month", "account_id", "outcome"),
    sqlite_with_rowid=False,
)
