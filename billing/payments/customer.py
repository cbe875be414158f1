"""The customer at Stripe that stands for an account. What it was last given is kept with the account, and
where that differs from what the account says now, it is brought up to date before an invoice is sent: giving
it the same twice does no harm, so a kill anywhere does none either."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from billing.audit.trail import changing
from billing.payments.desk import Desk
from billing.repository import accounts
from billing.repository.accounts import Account
from billing.repository.outbox import Intent
from metering.period import HOUR_US, SECOND_US

_ADDRESS = ("line1", "line2", "city", "postal_code", "state", "country")


def bring_up_to_date(desk: Desk, account: Account, intent: Intent) -> str:
    """The id of the account's customer, which says what the account says. Raises PaymentError."""
    wanted = _wanted(account)
    holds = account.stripe_customer_holds
    customer = account.stripe_customer_id
    if customer is None and intent.step_since:
        # What it holds is not known: it is given everything again.
        customer = desk.gateway.find_customer(account.id, (intent.step_since - HOUR_US) // SECOND_US)
    if customer is None:
        key = f"customer:{account.id}:{account.created_at}:{intent.generation}:{_digest(wanted)}"
        customer = desk.gateway.create_customer(account.id, wanted, key)
        holds = wanted
    changes = {name: value for name, value in wanted.items() if value != holds.get(name, _NOTHING[name])}
    if changes:
        # A new key for each attempt: an answer kept from an earlier one may be to values that came between.
        key = f"{intent.id}:{intent.step}:customer:{intent.generation}:{intent.attempts}:{_digest(changes)}"
        desk.gateway.update_customer(customer, changes, key)
    if customer != account.stripe_customer_id or dict(holds) != wanted:
        with changing(
            desk.engine, "account.customer_made", "account", account.id, now=desk.clock()
        ) as connection:
            accounts.set_stripe_customer(connection, account.id, customer, wanted)
    return customer


def _wanted(account: Account) -> dict[str, Any]:
    details = asdict(account.details)
    tax_id = {"type": details["tax_id_type"], "value": details["tax_id"]} if details["tax_id"] else None
    return {
        "name": account.name,
        "email": account.email,
        "address": {part: details[part] for part in _ADDRESS if details[part]},
        "tax_id": tax_id,
        "tax_exempt": details["tax_exempt"],
    }


# What a customer says of which nothing is known: it is not told to forget what it was never given.
_NOTHING: Mapping[str, Any] = {
    "name": "",
    "email": "",
    "address": {},
    "tax_id": None,
    "tax_exempt": "none",
}


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
