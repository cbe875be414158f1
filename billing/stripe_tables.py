"""What is kept of Stripe's side: how it stands with collecting, what it has, events that were handled, and
its limits. The intents are in the outbox, a table of `billing.tables`, like all else."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import metadata

# How Stripe stands with collecting an invoice, as last fetched. `version` counts how often it was taken over:
# an answer that was overtaken by another is not.
collections = sa.Table(
    "collections",
    metadata,
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    # Tax included.
    sa.Column("amount_due", sa.BigInteger, nullable=False),
    sa.Column("amount_remaining", sa.BigInteger, nullable=False),
    # What of it Stripe added to the total; not known of what was fetched before this was kept.
    sa.Column("tax", sa.BigInteger),
    sa.Column("charge_automatically", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.BigInteger),
    sa.Column("due_at", sa.BigInteger),
    # Why the last attempt failed, and whether the customer has to do something about it.
    sa.Column("failure", sa.Text),
    sa.Column("action_required", sa.Boolean, nullable=False),
    sa.Column("finalization_error", sa.Text),
    sa.Column("fetched_at", sa.BigInteger, nullable=False),
)

# What Stripe collected of an invoice: each time it became another sum, by how much (below 0: less), and
# when we learned of it. They come to the invoice's `amount_paid`.
invoice_payments = sa.Table(
    "invoice_payments",
    metadata,
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# What Stripe has beside an invoice: refunds, disputes, and credit notes, ours (`credit_note_id`) and others.
stripe_records = sa.Table(
    "stripe_records",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("credit_note_id", sa.Text, sa.ForeignKey("credit_notes.id")),
)
sa.Index("stripe_records_by_invoice", stripe_records.c.invoice_id)

# Money that went back, of the records above: each time it became another sum, by how much (below 0: a refund
# failed after all), and when we learned of it.
invoice_reversals = sa.Table(
    "invoice_reversals",
    metadata,
    sa.Column("record_id", sa.Text, sa.ForeignKey("stripe_records.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
sa.Index("invoice_reversals_by_invoice", invoice_reversals.c.invoice_id)

stripe_events = sa.Table(
    "stripe_events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
)

# What the processes know together about Stripe's rate limit (JSON): one row, there from the beginning.
stripe_rate = sa.Table(
    "stripe_rate",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("data", sa.Text, nullable=False),
)
