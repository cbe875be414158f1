"""The audit trail: entries, and the seal of the last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("request", sa.Text()),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("account_id", _TEXT),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("states", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("detail_sha256", sa.Text(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
    )
    op.create_index("audit_entries_by_account", "audit_entries", ["account_id", "number"])
    op.create_index("audit_entries_by_subject", "audit_entries", ["subject", "number"])
    op.create_index("credit_ledger_by_invoice", "credit_ledger", ["invoice_id"])
    end = op.create_table(
        "audit_end",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
    )
    op.bulk_insert(end, [{"id": 1, "entries": 0, "seal": "0" * 64}])


def downgrade() -> None:
    op.drop_index("credit_ledger_by_invoice", "credit_ledger")
    op.drop_table("audit_end")
    op.drop_table("audit_entries")
