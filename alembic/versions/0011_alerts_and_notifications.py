"""Alerts, and what others are told of: budgets, endpoints, events, deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _account(nullable: bool) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    return sa.Column("account_id", _TEXT, nullable=nullable), sa.ForeignKeyConstraint(
        ["account_id"], ["accounts.id"]
    )


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _instants(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]


def upgrade() -> None:
    op.create_table(
        "alert_settings",
        *_account(nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("mail", sa.Boolean(), nullable=False),
        *_texts("author"),
        *_instants("recorded_at"),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "alerts",
        *_texts("id"),
        *_account(nullable=False),
        *_texts("kind"),
        sa.Column("period", _TEXT, nullable=False),
        *_texts("basis"),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("limit_value", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        *_texts("currency", nullable=True),
        *_texts("message"),
        *_instants("reached_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "kind", "period", "basis", "threshold", "limit_value"),
    )
    op.create_table(
        "webhook_endpoints",
        *_texts("id"),
        *_account(nullable=True),
        *_texts("url", "description", "event_types", "status"),
        *_texts("disabled_reason", nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        *_instants("failing_since", nullable=True),
        *_instants("paused_until"),
        *_texts("author"),
        *_instants("created_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "webhook_secrets",
        *_texts("id", "endpoint_id", "secret"),
        *_instants("made_at"),
        *_instants("expires_at", nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_secrets_by_endpoint", "webhook_secrets", ["endpoint_id"])
    op.create_table(
        "notification_events",
        *_texts("id", "key", "type"),
        *_account(nullable=True),
        *_texts("body"),
        sa.Column("mail", sa.Boolean(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        *_instants("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    untold = sa.text("NOT told")
    op.create_index(
        "notification_events_untold",
        "notification_events",
        ["id"],
        sqlite_where=untold,
        postgresql_where=untold,
    )
    op.create_index("notification_events_by_time", "notification_events", ["created_at"])
    op.create_table(
        "notification_deliveries",
        *_texts("id", "event_id", "channel", "target"),
        *_texts("endpoint_id", nullable=True),
        *_account(nullable=True),
        *_texts("status"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        *_instants("next_attempt_at", "claimed_until"),
        *_instants("last_attempt_at", "delivered_at", nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        *_texts("response", "error", nullable=True),
        *_instants("created_at"),
        sa.ForeignKeyConstraint(["event_id"], ["notification_events.id"]),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", "channel", "target"),
    )
    op.create_index(
        "notification_deliveries_due", "notification_deliveries", ["status", "target", "next_attempt_at"]
    )
    op.create_index("notification_deliveries_by_endpoint", "notification_deliveries", ["endpoint_id", "id"])


def downgrade() -> None:
    for table in (
        "notification_deliveries",
        "notification_events",
        "webhook_secrets",
        "webhook_endpoints",
        "alerts",
        "alert_settings",
    ):
        op.drop_table(table)
