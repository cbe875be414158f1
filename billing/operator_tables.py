"""What is kept for the operator's console: who may sign in, who is, and work that goes on behind a page; and
changes that one asked for and another is to approve."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import metadata

# A row is a link that was made for somebody, and the session that it opened, once it did. Only digests are
# kept, of the link's secret and of the session's. `opened_at` is set once: a link opens one session.
operator_sessions = sa.Table(
    "operator_sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("link_sha256", sa.Text, nullable=False, unique=True),
    sa.Column("link_expires_at", sa.BigInteger, nullable=False),
    sa.Column("opened_at", sa.BigInteger),
    sa.Column("session_sha256", sa.Text, unique=True),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
)

# Work that takes longer than a page may: a billing run, an approval, a reconciliation. Whichever service does
# it, every one can show how far it is. `subject` is what it is of, such as a month; `report` (JSON) is what
# came of it, `error` a sentence if nothing did.
operator_jobs = sa.Table(
    "operator_jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("report", sa.Text),
    sa.Column("error", sa.Text),
)
# Of two that start the same work at once, one does it.
_UNDER_WAY = sa.text("finished_at IS NULL")
sa.Index(
    "one_job_at_a_time",
    operator_jobs.c.kind,
    operator_jobs.c.subject,
    unique=True,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)
sa.Index("operator_jobs_by_subject", operator_jobs.c.kind, operator_jobs.c.subject, operator_jobs.c.id)

# Changes that take two persons. `request` (JSON) is what is done if somebody else approves, word by word;
# `decision` is approved or refused, with its `reason`; `outcome` done or failed, and `says` what came of it.
proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deed", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("request_sha256", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("asked_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.Text),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("says", sa.Text, nullable=False),
)
