"""The secret that signs links."""

from __future__ import annotations

import sqlalchemy as sa

from billing.customer_tables import link_secrets
from metering.database import insert_into


def secret(connection: sa.Connection, purpose: str) -> str | None:
    return connection.scalar(sa.select(link_secrets.c.secret).where(link_secrets.c.purpose == purpose))


def keep_first(connection: sa.Connection, purpose: str, made: str, now: int) -> None:
    """Keep a secret unless there is one."""
    row = {"purpose": purpose, "secret": made, "made_at": now}
    connection.execute(insert_into(connection, link_secrets).values(row).on_conflict_do_nothing())


def replace(connection: sa.Connection, purpose: str, made: str, now: int) -> None:
    keep_first(connection, purpose, made, now)
    query = link_secrets.update().where(link_secrets.c.purpose == purpose)
    connection.execute(query.values(secret=made, made_at=now))
