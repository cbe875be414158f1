"""Halves of runs, of which the other half is still to come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "run_halves",
        sa.Column("account", _TEXT, nullable=False),
        sa.Column("task_run_id", _TEXT, nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("workspace", "flow", "flow_run_id", "source")
        ),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "task_run_id", "fingerprint"),
    )
    op.create_index("ix_run_halves_kept_at", "run_halves", ["kept_at"])
    op.create_index(
        "run_halves_waiting",
        "run_halves",
        ["account", "task_run_id"],
        sqlite_where=sa.text("settled = 0"),
        postgresql_where=sa.text("settled = 0"),
    )


def downgrade() -> None:
    op.drop_table("run_halves")
