"""Links an account to a customer that Stripe has already, whose card, address and e-mail address then count:
what the account does not say itself is left there as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.audit.trail import change
from billing.errors import Invalid, Refused
from billing.payments.errors import Missing, PaymentError
from billing.repository import accounts, invoices, outbox
from billing.repository.accounts import Account
from billing.terms import get_account
from metering.database import reading, writing

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway
    from billing.payments.stripe_objects import StripeCustomer

_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]{1,250}", re.ASCII).fullmatch


def link_customer(
    engine: sa.Engine, gateway: StripeGateway | None, account_id: str, customer: str, *, now: int
) -> Account:
    """From now on the customer at Stripe stands for the account; answers it as it is then. Done twice it does
    no harm. Raises NotFound, Invalid, or Refused: for a customer that Stripe does not have or that was
    deleted, one that stands for another account, and while invoices of the account's customer are unpaid."""
    if _CUSTOMER(customer) is None:
        raise Invalid(
            f"{customer!r} is no customer of Stripe's; give its id, such as cus_1234", field="customer"
        )
    if gateway is None:
        raise Refused("Stripe is not configured; set BILLING_STRIPE_API_KEY and link again")
    with reading(engine) as connection:
        _check(connection, get_account(connection, account_id), customer, now)
    try:
        _check_held(gateway.get_customer(customer), account_id)
        _link(engine, account_id, customer, now)
        gateway.claim_customer(customer, account_id, key=f"link:{account_id}:{customer}:{now}")
    except Missing as error:
        raise Refused(
            f"Stripe has no customer {customer}; look it up in the dashboard that BILLING_STRIPE_API_KEY "
            f"belongs to ({error})",
            field="customer",
        ) from error
    except PaymentError as error:
        raise Refused(f"Stripe does not do it; link again once this is put right: {error}") from error
    with reading(engine) as connection:
        return get_account(connection, account_id)


def _check_held(held: StripeCustomer, account_id: str) -> None:
    if held.deleted:
        raise Refused(f"customer {held.id} was deleted at Stripe; link another", field="customer")
    if held.account not in (None, "", account_id):
        raise Refused(
            f"customer {held.id} stands for account {held.account} by its metadata at Stripe; link another, "
            "or take `account` out of its metadata",
            field="customer",
        )


def _link(engine: sa.Engine, account_id: str, customer: str, now: int) -> None:
    with writing(engine) as connection:
        accounts.lock(connection, account_id)
        account = get_account(connection, account_id)
        _check(connection, account, customer, now)
        if account.stripe_customer_id == customer:
            return
        # An account that was given no name has its id for one: no reason to rename the customer.
        unnamed = {"name": account.name} if account.name == account.id else {}
        with change(connection, "account.customer_linked", "account", account_id, now=now):
            accounts.set_stripe_customer(connection, account_id, customer, unnamed)


def _check(connection: sa.Connection, account: Account, customer: str, now: int) -> None:
    other = accounts.of_stripe_customer(connection, customer)
    if other not in (None, account.id):
        raise Refused(f"customer {customer} is linked to account {other}; link another", field="customer")
    if account.stripe_customer_id == customer:
        return
    if outbox.claimed(connection, now, outbox.Wanted(account=account.id)):
        raise Refused(f"an invoice of {account.id} is being sent at this moment; link again in a minute")
    unpaid = invoices.unpaid_numbers(connection, account.id) if account.stripe_customer_id else []
    if unpaid:
        raise Refused(
            f"account {account.id} is linked to {account.stripe_customer_id}, with invoices that are not "
            f"paid ({', '.join(unpaid[:3])}{', …' if len(unpaid) > 3 else ''}); link once they are paid or "
            "void",
            field="customer",
        )
