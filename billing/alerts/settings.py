"""What an account chooses of its alerts: a budget a month, and whether they come by mail."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.errors import Invalid
from billing.pricing.errors import PricingError
from billing.pricing.money import parse_amount, require_whole
from billing.repository import alerts
from billing.repository.alerts import AlertSettings
from billing.terms import get_account
from metering.database import reading

NO_BUDGET: Literal["none"] = "none"


def alert_settings(engine: sa.Engine, account_id: str) -> AlertSettings:
    """Raises NotFound."""
    with reading(engine) as connection:
        get_account(connection, account_id)
        return alerts.settings(connection, account_id)


def set_alerts(
    engine: sa.Engine,
    account_id: str,
    *,
    budget: str | None = None,
    mail: bool | None = None,
    by: str,
    now: int,
) -> AlertSettings:
    """Change what is given: `budget` in major units a month, or `none`. Raises NotFound, Invalid."""
    if budget is None and mail is None:
        raise Invalid("say what changes: the budget, or whether alerts come by mail", field="budget")
    with changing(engine, "account.alerts_set", "account", account_id, now=now, by=by) as connection:
        account = get_account(connection, account_id)
        chosen = alerts.settings(connection, account_id)
        if budget is not None:
            chosen = replace(chosen, budget=_budget(budget, account.currency))
        if mail is not None:
            chosen = replace(chosen, mail=mail)
        alerts.put_settings(connection, account_id, chosen, by=by, now=now)
    return chosen


def _budget(text: str, currency: str) -> int | None:
    if text == NO_BUDGET:
        return None
    try:
        amount = require_whole(parse_amount(text, currency), currency)
    except PricingError as error:
        raise Invalid(f"the budget {error}", field="budget") from None
    if amount <= 0:
        raise Invalid(f"the budget {text!r} is not above zero; for none give {NO_BUDGET}", field="budget")
    return amount
