"""Price protection: customers of the old pricing pay no more than before, until a date (docs/rules.md §5)."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.errors import Invalid
from billing.pricing.errors import PricingError
from billing.pricing.money import parse_amount
from billing.pricing.price_protection import PriceProtection
from billing.pricing.terms import Protection
from billing.repository import accounts, terms
from billing.repository.accounts import Account
from billing.repository.parts import parts
from billing.terms import change_terms, get_account
from metering.database import reading
from metering.period import Month, day_of

# Protections are listed so many days before they end.
LISTED_DAYS = 60


def protect(
    engine: sa.Engine,
    account_id: str,
    charge: str,
    until: date,
    *,
    now: int,
    from_month: Month | None = None,
    by: str,
    amend: bool = False,
    reason: str = "",
) -> Account:
    """Price protection from a month on, by default the current one: no more than the charge (in major units)
    a month, in the months whose first day is before `until`. Raises NotFound, Invalid, Refused."""
    with changing(
        engine, "account.protected", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        account = get_account(connection, account_id)
        change = protection_of(from_month or Month.of(now), charge, until, account.currency)
        return change_terms(connection, account_id, change, by=by, now=now, amend=amend, reason=reason)


def protection_of(
    from_month: Month,
    charge: str,
    until: date,
    currency: str,
    *,
    charge_field: str = "charge",
    until_field: str = "until",
) -> Protection:
    """`charge` in major units. Raises Invalid, naming the field as the caller calls it."""
    try:
        price = PriceProtection(parse_amount(charge, currency), until)
    except PricingError as error:
        raise Invalid(str(error), field=until_field if error.field == "until" else charge_field) from None
    if not price.covers(from_month):
        raise Invalid(
            f"price protection from {from_month} on would end on {until}, before it begins; "
            "choose a later end or an earlier month",
            field=until_field,
        )
    return Protection(from_month, price)


def protections_ending(
    engine: sa.Engine, now: int, *, within_days: int | None = LISTED_DAYS
) -> list[dict[str, Any]]:
    """The protections that hold now and end within so many days (None: all that hold), the next to end first,
    in the shape of JSON answers; `charge` in minor units."""
    today = day_of(now)
    with reading(engine) as connection:
        protected = terms.accounts_with(connection, "protection")
        everyone = [each for part in parts(protected) for each in accounts.some(connection, part)]
    found = [
        (price.ends_on, account, price)
        for account in everyone
        if account.closed_on is None
        and (price := account.terms.protection(Month.of(now))) is not None
        and price.ends_on > today
        and (within_days is None or (price.ends_on - today).days <= within_days)
    ]
    return [
        {
            "account": account.id,
            "charge": price.charge,
            "currency": account.currency,
            "ends_on": ends_on.isoformat(),
            "days_left": (ends_on - today).days,
        }
        for ends_on, account, price in sorted(found, key=lambda each: (each[0], each[1].id))
    ]
