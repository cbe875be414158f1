"""What is kept for the pages of customers: the secret that signs their links, and what they dispute; and who
sells to them."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import metadata

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# One row, made when the first link is; a new secret takes its place, and with it every link ends.
link_secrets = sa.Table(
    "link_secrets",
    metadata,
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
)

# `decision` is what the operator decided (JSON), kept before anything is done about it: `answered_at` comes
# after the task runs were reversed. `request` tells a form that is sent twice.
disputes = sa.Table(
    "disputes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id")),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("raised_by", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("raised_at", sa.BigInteger, nullable=False),
    sa.Column("request", sa.Text),
    sa.Column("decision", sa.Text),
    sa.Column("reply", sa.Text),
    sa.Column("answered_by", sa.Text),
    sa.Column("answered_at", sa.BigInteger),
    sa.UniqueConstraint("account_id", "request"),
)
sa.Index("disputes_by_status", disputes.c.status, disputes.c.id)

# `reversed`: whether the answer to the dispute reversed the run.
dispute_runs = sa.Table(
    "dispute_runs",
    metadata,
    sa.Column("dispute_id", sa.Text, sa.ForeignKey("disputes.id"), primary_key=True),
    sa.Column("task_run_id", _TEXT, primary_key=True),
    sa.Column("reversed", sa.Boolean, nullable=False),
)

# Who sells, as the settings said when an invoice was issued: a row when it changed. An invoice is by the one
# that held at its issue, whatever the settings say since.
sellers = sa.Table(
    "sellers",
    metadata,
    sa.Column("recorded_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("data", sa.Text, nullable=False),
)
