"""Operations on accounts, the same for every door."""

from __future__ import annotations

import re

import sqlalchemy as sa

from billing.errors import Invalid, NotFound, Refused
from billing.pricing.currency import currency as known_currency
from billing.pricing.errors import PricingError
from billing.repository import accounts, invoices, plans
from billing.repository.accounts import Account, Enrolment
from metering.database import reading, writing
from metering.period import Month

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII).fullmatch

# Enough to catch a slip; whether mail arrives, only mail can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch

# What an account is enrolled in when nobody says otherwise.
DEFAULT_PLAN = "starter"


def add_account(
    engine: sa.Engine,
    account_id: str,
    *,
    now: int,
    currency: str,
    plan: str = DEFAULT_PLAN,
    billing_from: Month | None = None,
    name: str = "",
    email: str = "",
) -> Account:
    """Add an account, enrolled in a plan version from `billing_from` on (by default the month of `now`, so
    that imported history is never billed by accident). Raises Invalid or Refused."""
    if _ID(account_id) is None:
        raise Invalid(
            f"account id {account_id!r} is not usable; use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            field="id",
        )
    start = billing_from or Month.of(now)
    _check_text("name", name)
    _check_text("email", email)
    if email and _EMAIL(email) is None:
        raise Invalid(f"email {email!r} is not an address such as billing@acme.example", field="email")
    _known_currency(currency)
    with writing(engine) as connection:
        if accounts.get(connection, account_id) is not None:
            raise Refused(f"account {account_id} exists already", field="id")
        enrolment = _enrolment(connection, plan, start, currency)
        account = Account(account_id, name or account_id, email, currency, start, now, None, (enrolment,))
        accounts.add(connection, account)
    return account


def set_plan(engine: sa.Engine, account_id: str, plan: str, from_month: Month) -> Account:
    """Enrol an account in a plan version from a month on. Raises NotFound, Invalid, or Refused for a month
    that is invoiced already."""
    with writing(engine) as connection:
        account = accounts.get(connection, account_id)
        if account is None:
            raise no_account(account_id)
        invoiced = [m for m in invoices.months_with_usage_invoice(connection, account_id) if m >= from_month]
        if invoiced:
            raise Refused(
                f"account {account_id} is invoiced for {max(invoiced)} already; choose a later month",
                field="from",
            )
        accounts.enrol(connection, account_id, _enrolment(connection, plan, from_month, account.currency))
        changed = accounts.get(connection, account_id)
    assert changed is not None
    return changed


def show_account(engine: sa.Engine, account_id: str) -> Account:
    """Raises NotFound."""
    with reading(engine) as connection:
        account = accounts.get(connection, account_id)
    if account is None:
        raise no_account(account_id)
    return account


def list_accounts(engine: sa.Engine, *, after: str = "", limit: int | None = None) -> list[Account]:
    """Accounts in the order of their ids."""
    with reading(engine) as connection:
        return accounts.every(connection, after=after, limit=limit)


def account_data(account: Account) -> dict[str, object]:
    """An account in the shape of JSON answers."""
    return {
        "id": account.id,
        "name": account.name,
        "email": account.email,
        "currency": account.currency,
        "billing_from": str(account.billing_from),
        "plans": [{"from": str(each.from_month), "plan": each.plan_id} for each in account.enrolments],
        "stripe_customer_id": account.stripe_customer_id,
    }


def no_account(account_id: str) -> NotFound:
    return NotFound(f"there is no account {account_id!r}; add it with: billing accounts add {account_id}")


def _enrolment(connection: sa.Connection, plan: str, month: Month, currency: str) -> Enrolment:
    try:
        version = plans.catalogue(connection).resolve(plan, month)
    except PricingError as error:
        raise Invalid(str(error), field="plan") from None
    if version.currency != currency:
        raise Invalid(
            f"plan {version.id} is priced in {version.currency}, the account is billed in {currency}; "
            "choose a plan in its currency",
            field="plan",
        )
    return Enrolment(month, version.plan, version.version)


def _known_currency(code: str) -> None:
    try:
        known_currency(code)
    except PricingError as error:
        raise Invalid(str(error), field="currency") from None


def _check_text(field: str, text: str) -> None:
    # What UTF-8 cannot say, half a pair of surrogates, no database holds.
    if len(text) > 200 or "\0" in text or text.encode("utf-8", "replace").decode() != text:
        raise Invalid(
            f"{field} must have at most 200 characters, none of them NUL or half a character", field=field
        )
