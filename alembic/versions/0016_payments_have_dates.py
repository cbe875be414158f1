"""Payments: what Stripe collected of an invoice, and when we learned of it, each time it became another sum; and
the same of what went back: refunds, and disputes that were lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invoice_payments",
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("invoice_id", "number"),
    )
    op.create_table(
        "invoice_reversals",
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.ForeignKeyConstraint(["record_id"], ["stripe_records.id"]),
        sa.PrimaryKeyConstraint("record_id", "number"),
    )
    op.create_index("invoice_reversals_by_invoice", "invoice_reversals", ["invoice_id"])
    # When we learned of them was not kept: they are of the day on which they began.
    op.execute(
        """INSERT INTO invoice_reversals
           SELECT r.id, 1, r.invoice_id, r.kind, r.amount, r.created_at FROM stripe_records r
           WHERE (r.kind = 'refund' AND r.status IN ('succeeded', 'pending', 'requires_action'))
              OR (r.kind = 'dispute' AND r.status = 'lost')"""
    )
    # What was paid before is one payment: of the day on which we learned that the invoice is paid; of what
    # was paid in part, or is older than the trail, of the day on which Stripe was last asked.
    op.execute(
        """INSERT INTO invoice_payments
           SELECT i.id, 1, i.amount_paid, coalesce(
               (SELECT max(e.at) FROM audit_entries e
                WHERE e.subject = i.id AND e.deed = 'invoice.paid' AND i.status = 'paid'),
               (SELECT c.fetched_at FROM collections c WHERE c.invoice_id = i.id),
               i.issued_at)
           FROM invoices i WHERE i.amount_paid <> 0 AND i.issued_at IS NOT NULL"""
    )


def downgrade() -> None:
    """When each part of an invoice was paid, or went back, is not known any more; how much it is, is."""
    op.drop_index("invoice_reversals_by_invoice", table_name="invoice_reversals")
    op.drop_table("invoice_reversals")
    op.drop_table("invoice_payments")
