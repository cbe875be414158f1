"""What is kept of alerts and notifications: budgets, thresholds that were reached, events to tell of, the
endpoints that are told, and how far each delivery is."""

from __future__ import annotations

import sqlalchemy as sa

from billing.tables import metadata

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# What an account has chosen; without a row: no budget, and mail. `budget` is in minor units, a month.
alert_settings = sa.Table(
    "alert_settings",
    metadata,
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("budget", sa.BigInteger),
    sa.Column("mail", sa.Boolean, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
)

# A threshold that was reached, once: `period` is a month or a contract, `basis` actual or forecast. A limit
# that is changed is another one, whose thresholds are to be told.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("period", _TEXT, nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("threshold", sa.Integer, nullable=False),
    sa.Column("limit_value", sa.BigInteger, nullable=False),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("reached_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "kind", "period", "basis", "threshold", "limit_value"),
)

# `account_id`: whose customer's endpoint it is; null: the operator's, which is told of all accounts.
# `failures` in a row since `failing_since`; nothing is sent before `paused_until`.
webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id")),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # The types that it is told of (JSON); an empty list: all.
    sa.Column("event_types", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("paused_until", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# What signs: the newest, and those that it took the place of until they expire.
webhook_secrets = sa.Table(
    "webhook_secrets",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("endpoint_id", sa.Text, sa.ForeignKey("webhook_endpoints.id"), nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
)
sa.Index("webhook_secrets_by_endpoint", webhook_secrets.c.endpoint_id)

# Stored in the transaction of what it tells of. `key` says what that is, so that it is told once. `body` is
# what is sent, to the byte. Deliveries are made from it once, and then it is `told`.
events = sa.Table(
    "notification_events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id")),
    sa.Column("body", sa.Text, nullable=False),
    # Of several thresholds that were found reached together, only the highest is worth a mail.
    sa.Column("mail", sa.Boolean, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
sa.Index(
    "notification_events_untold",
    events.c.id,
    sqlite_where=sa.text("NOT told"),
    postgresql_where=sa.text("NOT told"),
)
sa.Index("notification_events_by_time", events.c.created_at)

# One a target and event. `target` is an endpoint's id, or an e-mail address; `account_id` whose it is, null:
# the operator's. `response` holds the first characters of the last answer.
deliveries = sa.Table(
    "notification_deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, sa.ForeignKey("notification_events.id"), nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("endpoint_id", sa.Text, sa.ForeignKey("webhook_endpoints.id")),
    sa.Column("account_id", _TEXT, sa.ForeignKey("accounts.id")),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("last_attempt_at", sa.BigInteger),
    sa.Column("delivered_at", sa.BigInteger),
    sa.Column("response_status", sa.Integer),
    sa.Column("response", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("event_id", "channel", "target"),
)
sa.Index(
    "notification_deliveries_due", deliveries.c.status, deliveries.c.target, deliveries.c.next_attempt_at
)
sa.Index("notification_deliveries_by_endpoint", deliveries.c.endpoint_id, deliveries.c.id)
