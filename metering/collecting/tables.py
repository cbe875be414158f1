"""What is kept of sources: who they are, how far they are read, and to when they are complete. Instants in
microseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from metering.store.tables import metadata

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("account", _TEXT, primary_key=True),
    sa.Column("id", _TEXT, primary_key=True),
    # `prefect`: we ask it. `declared`: it tells us to when it is complete.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("added_at", sa.BigInteger, nullable=False),
    # Of one that we ask: where it is, the variable that holds its key, the workspace its runs are put to, and
    # how long it keeps events.
    sa.Column("url", sa.Text),
    sa.Column("key_name", sa.Text),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("retention_us", sa.BigInteger),
    # Only what ended from here on is asked of it, or declared.
    sa.Column("since", sa.BigInteger),
    # How far its events are read, and the pass that is under way (`reading.py`).
    sa.Column("read_to", sa.BigInteger),
    sa.Column("wide_at", sa.BigInteger),
    sa.Column("day_at", sa.BigInteger),
    sa.Column("pass_reach", sa.Text),
    sa.Column("pass_at", sa.BigInteger),
    sa.Column("pass_end", sa.BigInteger),
    sa.Column("pass_begun_at", sa.BigInteger),
    # Time of which the server may have forgotten events before we read them.
    sa.Column("lost_from", sa.BigInteger),
    sa.Column("lost_to", sa.BigInteger),
    # How the last attempt ended; before `retry_at` there is none.
    sa.Column("tried_at", sa.BigInteger),
    sa.Column("retry_at", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("failing_since", sa.BigInteger),
    # The watermark: what ended before `complete_to` is held by the commit at `position`. `missing` are task
    # runs that stand in its way.
    sa.Column("complete_to", sa.BigInteger),
    sa.Column("position", sa.BigInteger),
    sa.Column("runs", sa.BigInteger),
    sa.Column("checked_at", sa.BigInteger),
    sa.Column("missing", sa.BigInteger, nullable=False),
    sa.Column("missing_ids", sa.Text, nullable=False),
)

# The days that were looked at run by run: what the source counted then, and how many were held.
source_days = sa.Table(
    "source_days",
    metadata,
    sa.Column("account", _TEXT, primary_key=True),
    sa.Column("source", _TEXT, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("counted", sa.BigInteger, nullable=False),
    sa.Column("runs", sa.BigInteger, nullable=False),
    sa.ForeignKeyConstraint(["account", "source"], ["sources.account", "sources.id"]),
)
