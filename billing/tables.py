"""Billing's tables. Amounts are integers in the currency's minor unit; prices and exact amounts are text,
since SQLite has no decimals. Instants are microseconds since the epoch; months are `YYYY-MM`."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("billing_from", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("stripe_customer_id", sa.Text),
)

# The plan version of an account from a month on; the newest row at or before a month holds.
enrolments = sa.Table(
    "enrolments",
    metadata,
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("from_month", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
)

plan_versions = sa.Table(
    "plan_versions",
    metadata,
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("loaded_at", sa.BigInteger, nullable=False),
)

# A run of a month keeps its cutoff when it resumes.
billing_runs = sa.Table(
    "billing_runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("month", sa.Text, nullable=False),
    sa.Column("account_id", _TEXT),
    sa.Column("early", sa.Boolean, nullable=False),
    sa.Column("cutoff", sa.BigInteger, nullable=False),
    sa.Column("cutoff_at", sa.BigInteger),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("report", sa.Text),
)

invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("month", sa.Text, nullable=False),
    sa.Column("number", sa.Text, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("rule_version", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, sa.ForeignKey("billing_runs.id"), nullable=False),
    sa.Column("cutoff", sa.BigInteger, nullable=False),
    sa.Column("cutoff_at", sa.BigInteger),
    sa.Column("billable", sa.BigInteger, nullable=False),
    sa.Column("not_billed", sa.Text, nullable=False),
    sa.Column("usage_by_day", sa.Text, nullable=False),
    sa.Column("run_list_sha256", sa.Text, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("amount_paid", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("issued_at", sa.BigInteger),
    # The void invoice of the same account and month that this one was issued instead of.
    sa.Column("replaces", sa.Text, sa.ForeignKey("invoices.id")),
    sa.Column("stripe_invoice_id", sa.Text, unique=True),
    sa.Column("stripe_status", sa.Text),
    sa.Column("hosted_invoice_url", sa.Text),
    sa.Column("invoice_pdf", sa.Text),
)
# One usage invoice an account and month, ever, whoever runs the month and however often.
_ONE_LIVE = sa.text("status <> 'void' AND kind = 'usage'")
sa.Index(
    "one_usage_invoice_a_month",
    invoices.c.account_id,
    invoices.c.month,
    unique=True,
    sqlite_where=_ONE_LIVE,
    postgresql_where=_ONE_LIVE,
)
sa.Index("invoices_by_month", invoices.c.month, invoices.c.status)

invoice_lines = sa.Table(
    "invoice_lines",
    metadata,
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger),
    sa.Column("unit_price", sa.Text),
    sa.Column("exact_amount", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
)

# The last number given within a prefix; taken in the transaction that finalizes, so that none is lost.
invoice_numbers = sa.Table(
    "invoice_numbers",
    metadata,
    sa.Column("prefix", sa.Text, primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
)

# What we mean to do at Stripe: the intent is committed before the call, the result after it.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), primary_key=True),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("step_since", sa.BigInteger, nullable=False),
    sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text),
)
sa.Index("outbox_due", outbox.c.status, outbox.c.next_attempt_at)

stripe_events = sa.Table(
    "stripe_events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("secret_sha256", sa.Text, nullable=False, unique=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("account_id", _TEXT),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
)

# Answers to requests with an Idempotency-Key. No status yet: the request is being worked on.
idempotent_requests = sa.Table(
    "idempotent_requests",
    metadata,
    sa.Column("api_key_id", sa.Text, primary_key=True),
    sa.Column("idempotency_key", sa.Text, primary_key=True),
    sa.Column("request_sha256", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# Of several services one acts: who holds a job's lease, until when, and what it last finished.
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text),
    sa.Column("lease_until", sa.BigInteger, nullable=False),
    sa.Column("done_through", sa.Text),
    sa.Column("finished_at", sa.BigInteger),
)
