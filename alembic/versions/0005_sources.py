"""Sources: how far each is read, and to when it is complete."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    instants = (
        "retention_us", "since", "read_to", "wide_at", "day_at", "pass_at", "pass_end", "pass_begun_at",
        "lost_from", "lost_to", "tried_at", "retry_at", "failing_since", "complete_to", "position", "runs",
        "checked_at",
    )  # fmt: skip
    op.create_table(
        "sources",
        sa.Column("account", _TEXT, nullable=False),
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in instants),
        sa.Column("pass_reach", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("missing", sa.BigInteger(), nullable=False),
        sa.Column("missing_ids", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id"),
    )
    op.create_table(
        "source_days",
        sa.Column("account", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account", "source"], ["sources.account", "sources.id"]),
        sa.PrimaryKeyConstraint("account", "source", "day"),
    )


def downgrade() -> None:
    op.drop_table("source_days")
    op.drop_table("sources")
