"""The operator's corrections of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "task_run_corrections",
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("action", sa.SmallInteger(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("run_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "run_key", "position"),
        sa.UniqueConstraint("position", "place"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refused where runs were corrected: an older version would count them in one place and not in
    another."""
    connection = op.get_bind()
    if connection.exec_driver_sql("SELECT count(*) FROM task_run_corrections").scalar():
        raise RuntimeError(
            "task runs were corrected, and the older version knows of no corrections; restore a backup"
        )
    op.drop_table("task_run_corrections")
