"""What the document of an invoice says: who sold, and the tax that Stripe added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sellers",
        sa.Column("recorded_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("recorded_at"),
    )
    with op.batch_alter_table("collections") as table:
        table.add_column(sa.Column("tax", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("collections") as table:
        table.drop_column("tax")
    op.drop_table("sellers")
