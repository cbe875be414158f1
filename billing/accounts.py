"""Operations on accounts, the same for every door."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from billing.audit.actor import OPERATOR
from billing.audit.trail import changing
from billing.billing_details import NO_DETAILS, BillingDetails, check_text
from billing.contracts import opening_contract, record_contract
from billing.credits import grant_credit, positive_amount
from billing.errors import Invalid, Refused
from billing.grandfathering import protection_of
from billing.pricing.currency import currency as known_currency
from billing.pricing.errors import PricingError
from billing.pricing.money import plain
from billing.pricing.terms import Enrolment, Terms
from billing.repository import accounts, plans
from billing.repository.accounts import Account
from billing.repository.credits import CreditKind
from billing.terms import change_terms, get_account
from metering.database import reading
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
    legacy_charge: str | None = None,
    protected_until: date | None = None,
    opening_credit: str | None = None,
    opening_runs: int | None = None,
    opening_runs_until: date | None = None,
    details: BillingDetails = NO_DETAILS,
    by: str = OPERATOR,
) -> Account:
    """Add an account, enrolled in a plan version from `billing_from` on (by default the month of `now`, so
    that imported history is never billed by accident). `legacy_charge` (in major units, as text) and
    `protected_until`: price protection from the start. `opening_credit` (major units)
    and `opening_runs` (paid for elsewhere, usable until the first of a month): what the account brings.
    Raises Invalid or Refused."""
    if _ID(account_id) is None:
        raise Invalid(
            f"account id {account_id!r} is not usable; use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            field="id",
        )
    start = billing_from or Month.of(now)
    _check_names(name, email)
    _known_currency(currency)
    if (opening_runs is None) != (opening_runs_until is None):
        raise Invalid(
            "opening runs need both their number and the day until which they may be used, the first of a "
            "month",
            field="opening_runs_until" if opening_runs_until is None else "opening_runs",
        )
    if (legacy_charge is None) != (protected_until is None):
        raise Invalid(
            "price protection needs both a legacy charge and the date until which it holds",
            field="protected_until" if protected_until is None else "legacy_charge",
        )
    with changing(engine, "account.added", "account", account_id, now=now, by=by) as connection:
        enrolment = _enrolment(connection, plan, start, currency)
        account = Account(account_id, name or account_id, email, currency, start, now, None, Terms(), details)
        if not accounts.add(connection, account):
            raise Refused(f"account {account_id} exists already", field="id")
        change_terms(connection, account_id, enrolment, by=by, now=now)
        if legacy_charge is not None and protected_until is not None:
            change = protection_of(
                start,
                legacy_charge,
                protected_until,
                currency,
                charge_field="legacy_charge",
                until_field="protected_until",
            )
            change_terms(connection, account_id, change, by=by, now=now)
        if opening_credit is not None:
            amount = positive_amount(opening_credit, currency, "opening_credit")
            grant_credit(
                connection, account_id, CreditKind.OPENING, amount, "opening balance", by=by, now=now
            )
        if opening_runs is not None and opening_runs_until is not None:
            contract = opening_contract(account_id, currency, plan, start, opening_runs, opening_runs_until)
            record_contract(connection, contract, by=by, now=now)
        return get_account(connection, account_id)


def set_plan(
    engine: sa.Engine,
    account_id: str,
    plan: str,
    from_month: Month,
    *,
    now: int,
    by: str = OPERATOR,
    amend: bool = False,
    reason: str = "",
) -> Account:
    """Enrol an account in a plan version from a month on. Raises NotFound, Invalid, or Refused: for a month
    that is invoiced already (unless `amend`), and for one under contract."""
    with changing(
        engine, "account.plan_set", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        account = get_account(connection, account_id)
        contract = account.terms.contract(from_month)
        if contract is not None:
            raise Refused(
                f"account {account_id} is under contract {contract.id} in {from_month}; change the "
                f"contract's plan instead (billing contracts amend {contract.id}), or choose a month from "
                f"{contract.end:%Y-%m} on",
                field="from",
            )
        change = _enrolment(connection, plan, from_month, account.currency)
        return change_terms(connection, account_id, change, by=by, now=now, amend=amend, reason=reason)


def update_account(
    engine: sa.Engine,
    account_id: str,
    *,
    now: int,
    by: str | None = None,
    name: str | None = None,
    email: str | None = None,
    **details: Any,
) -> Account:
    """Change what is not terms: the name, the e-mail address, billing details (fields of BillingDetails).
    Invoices made before keep what they say. Raises NotFound, Invalid."""
    if name is None and email is None and not details:
        raise Invalid("say what changes: the name, the e-mail address, or billing details", field="name")
    _check_names(name or "", email or "")
    unknown = details.keys() - {each.name for each in fields(BillingDetails)}
    assert not unknown, f"no billing details: {unknown}"
    with changing(engine, "account.updated", "account", account_id, now=now, by=by) as connection:
        account = get_account(connection, account_id)
        made = replace(account.details, **details)
        changes: dict[str, Any] = {"details": json.dumps(made.to_data())}
        if name is not None:
            changes["name"] = name or account_id
        if email is not None:
            changes["email"] = email
        accounts.update(connection, account_id, **changes)
        return get_account(connection, account_id)


def show_account(engine: sa.Engine, account_id: str) -> Account:
    """Raises NotFound."""
    with reading(engine) as connection:
        return get_account(connection, account_id)


def list_accounts(
    engine: sa.Engine, *, after: str = "", limit: int | None = None, search: str = ""
) -> list[Account]:
    """Accounts in the order of their ids; with `search`, those that have it in their id or name."""
    with reading(engine) as connection:
        return accounts.every(connection, after=after, limit=limit, search=search)


def account_data(account: Account) -> dict[str, object]:
    """An account in the shape of JSON answers."""
    terms = account.terms
    return {
        "id": account.id,
        "name": account.name,
        "email": account.email,
        "currency": account.currency,
        "billing_from": str(account.billing_from),
        "closed_on": None if account.closed_on is None else account.closed_on.isoformat(),
        "plans": [{"from": str(each.from_month), "plan": each.plan_id} for each in terms.enrolments],
        "contracts": [
            {"id": each.id, "start": each.start.isoformat(), "end": each.end.isoformat()}
            for each in terms.contracts
        ],
        "programs": [
            {
                "program": each.name.value,
                "percentage": plain(each.percentage),
                "starts_on": each.starts_on.isoformat(),
                "ends_on": each.ends_on.isoformat(),
            }
            for each in terms.programs
        ],
        "price_protection": [
            {
                "from": str(each.from_month),
                "charge": each.price.charge,
                "ends_on": each.price.ends_on.isoformat(),
            }
            for each in terms.protections
        ],
        "details": account.details.to_data(),
        "stripe_customer_id": account.stripe_customer_id,
    }


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


def _check_names(name: str, email: str) -> None:
    check_text("name", name)
    check_text("email", email)
    if email and _EMAIL(email) is None:
        raise Invalid(f"email {email!r} is not an address such as billing@acme.example", field="email")
