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
    sa.Column("closed_on", sa.Text),
    # Billing details: address, tax id, purchase order, payment terms (JSON).
    sa.Column("details", sa.Text, nullable=False, server_default="{}"),
    # The number of the last entry in the account's books. Whoever adds one takes the next number, in the
    # transaction that writes it: so entries have an order, and of two writers one knows that it came second.
    sa.Column("entries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stripe_customer_id", sa.Text),
    # What the customer at Stripe was last given: name, e-mail, address, tax id (JSON).
    sa.Column("stripe_customer_holds", sa.Text, nullable=False, server_default="{}"),
)

# What was agreed with an account, as changes that are only ever added: plan, program, protection, contract,
# grants. The terms that hold are read by going through them in order (`pricing/terms.py`).
account_terms = sa.Table(
    "account_terms",
    metadata,
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    # Whether it reached into a month that was invoiced already.
    sa.Column("amendment", sa.Boolean, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
)

# Whose contract an id is; what it says is in the account's terms.
contracts = sa.Table(
    "contracts",
    metadata,
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), nullable=False),
)
sa.Index("contracts_by_account", contracts.c.account_id)

# Services of a contract, by their place in it, that were delivered.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("contract_id", _TEXT, sa.ForeignKey("contracts.id"), primary_key=True),
    sa.Column("service", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("delivered_on", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
)

# Committed runs, signed; only ever added to (`pricing/run_ledger.py`).
run_ledger = sa.Table(
    "run_ledger",
    metadata,
    sa.Column("contract_id", _TEXT, sa.ForeignKey("contracts.id"), primary_key=True),
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("grant_id", _TEXT, nullable=False),
    sa.Column("effective_on", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("corrects", sa.Text),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
)

# Account credit, signed amounts in minor units; only ever added to. The rows of one `credit_id` sum to what
# is left of that credit.
credit_ledger = sa.Table(
    "credit_ledger",
    metadata,
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("credit_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # The invoice that consumed it, gave it back, or carried it over.
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id")),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
)
sa.Index("credit_ledger_by_invoice", credit_ledger.c.invoice_id)

# Who referred whom: an account has one referrer. `credit_id` is the reward, once it was granted.
referrals = sa.Table(
    "referrals",
    metadata,
    sa.Column("referred", _TEXT, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("referrer", _TEXT, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("credit_id", sa.Text),
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
    # A contract's invoice has no run, no cutoff and no run list.
    sa.Column("run_id", sa.Text, sa.ForeignKey("billing_runs.id")),
    sa.Column("cutoff", sa.BigInteger),
    sa.Column("cutoff_at", sa.BigInteger),
    sa.Column("billable", sa.BigInteger, nullable=False),
    sa.Column("not_billed", sa.Text, nullable=False),
    sa.Column("usage_by_day", sa.Text, nullable=False),
    sa.Column("run_list_sha256", sa.Text),
    # The contract it is for, or under which the month was; `drawn` of the billable runs were committed ones.
    sa.Column("contract_id", _TEXT, sa.ForeignKey("contracts.id")),
    sa.Column("drawn", sa.BigInteger),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("amount_paid", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("issued_at", sa.BigInteger),
    # The void invoice of the same account and month that this one was issued instead of.
    sa.Column("replaces", sa.Text, sa.ForeignKey("invoices.id")),
    # Its place in the account's books, and that of its voiding.
    sa.Column("entry", sa.Integer),
    sa.Column("void_entry", sa.Integer),
    sa.Column("voided_at", sa.BigInteger),
    sa.Column("void_reason", sa.Text),
    # Who it was made out to, as of issue (JSON).
    sa.Column("bill_to", sa.Text, nullable=False, server_default="{}"),
    # Who approved the draft that it was; none where a billing run finalized it.
    sa.Column("approved_by", sa.Text),
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
sa.Index("invoices_by_account", invoices.c.account_id, invoices.c.month)

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
    # Of an adjustment: the month it is for.
    sa.Column("month", sa.Text),
    # Of a credit: the account credit it consumes; of an instalment or service: what of the contract it is.
    sa.Column("reference", sa.Text),
)

# Documents that reduce an issued invoice.
credit_notes = sa.Table(
    "credit_notes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("number", sa.Text, nullable=False, unique=True),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), nullable=False),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("entry", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("issued_at", sa.BigInteger, nullable=False),
    sa.Column("stripe_credit_note_id", sa.Text, unique=True),
)
sa.Index("credit_notes_by_invoice", credit_notes.c.invoice_id)
sa.Index("credit_notes_by_account", credit_notes.c.account_id)

# The last number given within a prefix; taken in the transaction that finalizes, so that none is lost.
invoice_numbers = sa.Table(
    "invoice_numbers",
    metadata,
    sa.Column("prefix", sa.Text, primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
)

# What we mean to do at Stripe: the intent is committed before the call, the result after it. `kind` is send,
# void or credit_note; the id of an intent to send is that of its invoice, that of an intent to credit the
# note's. Of a void: who asked for it, and why.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("invoices.id"), nullable=False),
    sa.Column("credit_note_id", sa.Text, sa.ForeignKey("credit_notes.id")),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("step_since", sa.BigInteger, nullable=False),
    sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("author", sa.Text),
    sa.Column("reason", sa.Text),
)
sa.Index("outbox_due", outbox.c.status, outbox.c.next_attempt_at)
sa.Index("outbox_by_invoice", outbox.c.invoice_id)

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
    # From then on it is refused; `replaced_by` is the key that took its place, if that is why.
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("replaced_by", sa.Text),
    # Written a minute at a time, by each service.
    sa.Column("last_used_at", sa.BigInteger),
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

# At most one row: where the installation has moved to. Never copied.
moves = sa.Table(
    "installation_moves",
    metadata,
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("moved_at", sa.BigInteger, nullable=False),
)
