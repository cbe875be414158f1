"""Links to the pages of customers, and what customers dispute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "link_secrets",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose"),
    )
    op.create_table(
        "disputes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", _TEXT, nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("status", "message", "raised_by", "author")
        ),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=True)
            for name in ("request", "decision", "reply", "answered_by")
        ),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "request"),
    )
    op.create_index("disputes_by_status", "disputes", ["status", "id"])
    op.create_table(
        "dispute_runs",
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("task_run_id", _TEXT, nullable=False),
        sa.Column("reversed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["dispute_id"], ["disputes.id"]),
        sa.PrimaryKeyConstraint("dispute_id", "task_run_id"),
    )


def downgrade() -> None:
    for table in ("dispute_runs", "disputes", "link_secrets"):
        op.drop_table(table)
