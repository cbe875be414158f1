"""Events may be kept in ClickHouse: positions under way, and where the events are. An installation may move
to another database: where it went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meter_inserts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "meter_homes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("copied_to", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("under_way", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "installation_moves",
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
    )


def downgrade() -> None:
    """Refused where events are in ClickHouse: the older version would find none."""
    if op.get_bind().exec_driver_sql("SELECT count(*) FROM meter_homes").scalar():
        raise RuntimeError("events are kept in ClickHouse, of which the older version does not know; stay")
    op.drop_table("installation_moves")
    op.drop_table("meter_homes")
    op.drop_table("meter_inserts")
