"""Budgets, and thresholds that were reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from billing.notification_tables import alert_settings, alerts
from billing.repository.lists import WHOLE, Page, having, page_of
from billing.repository.parts import parts
from metering.database import insert_into


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What an account has chosen. `budget` in minor units a month, None: none; `mail`: whether alerts go to
    the account's e-mail address too."""

    budget: int | None = None
    mail: bool = True


NO_SETTINGS = AlertSettings()


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold (percent of `limit`) that was reached at `reached_at`, when it was `value`; in task runs,
    or with a `currency` in its minor units."""

    id: str
    account: str
    kind: str
    period: str
    basis: str
    threshold: int
    limit: int
    value: int
    currency: str | None
    message: str
    reached_at: int


def settings(connection: sa.Connection, account_id: str) -> AlertSettings:
    """What an account has chosen."""
    return settings_of(connection, [account_id]).get(account_id, NO_SETTINGS)


def settings_of(connection: sa.Connection, account_ids: Sequence[str]) -> dict[str, AlertSettings]:
    """Those of some accounts that have chosen anything."""
    found: dict[str, AlertSettings] = {}
    for part in parts(list(account_ids)):
        query = sa.select(alert_settings).where(alert_settings.c.account_id.in_(part))
        found |= {row.account_id: AlertSettings(row.budget, row.mail) for row in connection.execute(query)}
    return found


def put_settings(
    connection: sa.Connection, account_id: str, chosen: AlertSettings, *, by: str, now: int
) -> None:
    connection.execute(alert_settings.delete().where(alert_settings.c.account_id == account_id))
    row = {"account_id": account_id, "author": by, "recorded_at": now, **asdict(chosen)}
    connection.execute(alert_settings.insert().values(row))


def add(connection: sa.Connection, alert: Alert) -> bool:
    """Record a threshold. False, and nothing is written, if it is recorded already."""
    statement = insert_into(connection, alerts).values(
        id=alert.id,
        account_id=alert.account,
        kind=alert.kind,
        period=alert.period,
        basis=alert.basis,
        threshold=alert.threshold,
        limit_value=alert.limit,
        value=alert.value,
        currency=alert.currency,
        message=alert.message,
        reached_at=alert.reached_at,
    )
    return connection.scalar(statement.on_conflict_do_nothing().returning(alerts.c.id)) is not None


def of_account(connection: sa.Connection, account_id: str, periods: Sequence[str]) -> list[Alert]:
    """What was recorded of an account in some months and contracts."""
    query = sa.select(alerts).where(alerts.c.account_id == account_id, alerts.c.period.in_(periods))
    return [_alert(row) for row in connection.execute(query.order_by(alerts.c.id))]


def search(
    connection: sa.Connection, *, account: str | None = None, period: str | None = None, page: Page = WHOLE
) -> list[Alert]:
    """Of one account, of one month or contract."""
    query = having(sa.select(alerts), {alerts.c.account_id: account, alerts.c.period: period})
    return [_alert(row) for row in connection.execute(page_of(query, alerts.c.id, page))]


def highest(connection: sa.Connection, kind: str, least: int) -> dict[str, int]:
    """The highest threshold of a kind that was told, from one on, by month or contract."""
    query = sa.select(alerts.c.period, sa.func.max(alerts.c.threshold))
    query = query.where(alerts.c.kind == kind, alerts.c.threshold >= least).group_by(alerts.c.period)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def _alert(row: sa.Row[Any]) -> Alert:
    return Alert(
        row.id,
        row.account_id,
        row.kind,
        row.period,
        row.basis,
        row.threshold,
        row.limit_value,
        row.value,
        row.currency,
        row.message,
        row.reached_at,
    )
