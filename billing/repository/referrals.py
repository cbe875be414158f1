"""Who referred whom, and which pairs were rewarded."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billing.tables import invoices, referrals


@dataclass(frozen=True, slots=True)
class Referral:
    """`credit_id` is the reward, once it was granted."""

    referred: str
    referrer: str
    recorded_at: int
    credit_id: str | None


def lock(connection: sa.Connection) -> None:
    """One writer of referrals at a time; on SQLite there is one of anything anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE referrals IN SHARE ROW EXCLUSIVE MODE"))


def add(connection: sa.Connection, referrer: str, referred: str, *, by: str, now: int) -> None:
    connection.execute(
        referrals.insert().values(referrer=referrer, referred=referred, author=by, recorded_at=now)
    )


def get(connection: sa.Connection, referred: str) -> Referral | None:
    row = connection.execute(sa.select(referrals).where(referrals.c.referred == referred)).one_or_none()
    return None if row is None else Referral(row.referred, row.referrer, row.recorded_at, row.credit_id)


def referrers(connection: sa.Connection) -> dict[str, str]:
    """Everybody who was referred, and by whom."""
    rows = connection.execute(sa.select(referrals.c.referred, referrals.c.referrer))
    return {row.referred: row.referrer for row in rows}


def waiting(connection: sa.Connection) -> list[Referral]:
    """Pairs without a reward whose referred account has paid anything; oldest first."""
    query = (
        sa.select(referrals)
        .where(
            referrals.c.credit_id.is_(None),
            sa.exists().where(invoices.c.account_id == referrals.c.referred, invoices.c.amount_paid > 0),
        )
        .order_by(referrals.c.recorded_at, referrals.c.referred)
    )
    return [
        Referral(row.referred, row.referrer, row.recorded_at, row.credit_id)
        for row in connection.execute(query)
    ]


def paid(connection: sa.Connection, account_id: str) -> int:
    """What an account has really paid, of all its invoices, in minor units of its currency."""
    total = sa.func.coalesce(sa.func.sum(invoices.c.amount_paid), 0)
    return int(connection.scalar(sa.select(total).where(invoices.c.account_id == account_id)) or 0)


def rewarded(connection: sa.Connection, referred: str, credit_id: str) -> None:
    connection.execute(referrals.update().where(referrals.c.referred == referred).values(credit_id=credit_id))


def of_account(connection: sa.Connection, account_id: str) -> list[Referral]:
    """The pairs that an account is in, on either side."""
    query = sa.select(referrals).where(
        sa.or_(referrals.c.referred == account_id, referrals.c.referrer == account_id)
    )
    return [
        Referral(row.referred, row.referrer, row.recorded_at, row.credit_id)
        for row in connection.execute(query.order_by(referrals.c.recorded_at, referrals.c.referred))
    ]
