"""How Alembic reaches the database: by the connection that `billing.schema` hands over, or by
BILLING_DATABASE_URL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

import billing.audit_tables
import billing.customer_tables
import billing.notification_tables
import billing.operator_tables
import billing.stripe_tables
import billing.tables
import metering.collecting.tables
import metering.pairing.tables
import metering.store.clickhouse.tables
import metering.store.tables
from metering.database import make_engine, migrating
from metering.settings import Settings


def _migrate(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=[metering.store.tables.metadata, billing.tables.metadata],
        transaction_per_migration=False,
    )
    context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    _migrate(handed_over)
else:
    with migrating(make_engine(Settings().database_url)) as own:
        _migrate(own)
