"""Tables of the audit trail."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import metadata

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# Only ever added to. `states` (JSON): things that were changed, and the digest of what each is since.
# `detail` (JSON) is what a person reads, and may be erased: what is sealed is its digest.
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("request", sa.Text),
    sa.Column("deed", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", _TEXT, nullable=False),
    sa.Column("account_id", _TEXT),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("states", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("detail_sha256", sa.Text, nullable=False),
    sa.Column("seal", sa.Text, nullable=False),
)
sa.Index("audit_entries_by_account", audit_entries.c.account_id, audit_entries.c.number)
sa.Index("audit_entries_by_subject", audit_entries.c.subject, audit_entries.c.number)

# One row: how many entries there are, and the seal of the last. Whoever adds some locks it first.
audit_end = sa.Table(
    "audit_end",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.Text, nullable=False),
)
