"""Account credit: granting it, and showing its ledger; the same for every door (docs/rules.md §5, 5)."""

from __future__ import annotations

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.billing_details import check_text
from billing.errors import Invalid
from billing.ids import new_id
from billing.pricing.errors import PricingError
from billing.pricing.money import parse_amount
from billing.repository import accounts, credits
from billing.repository.credits import CreditEntry, CreditKind
from billing.terms import get_account
from metering.database import reading
from metering.period import format_instant


def positive_amount(text: str, currency: str, field: str) -> int:
    """An amount in major units as minor ones. Raises Invalid unless it is above 0."""
    try:
        amount = parse_amount(text, currency)
    except PricingError as error:
        raise Invalid(str(error), field=field) from None
    if amount <= 0:
        raise Invalid(f"{field} must be above 0, not {text}", field=field)
    return amount


def grant_credit(
    connection: sa.Connection,
    account_id: str,
    kind: CreditKind,
    amount: int,
    description: str,
    *,
    by: str,
    now: int,
    invoice_id: str | None = None,
) -> CreditEntry:
    """Grant credit within the caller's transaction; `amount` in minor units of the account's currency."""
    entry = accounts.next_entry(connection, account_id)
    assert entry is not None
    made = CreditEntry(account_id, entry, new_id("crd", now), kind, amount, description, invoice_id, by, now)
    credits.add(connection, [made])
    return made


def add_credit(
    engine: sa.Engine, account_id: str, amount: str, reason: str, *, by: str, now: int
) -> dict[str, object]:
    """Goodwill: `amount` in major units, `reason` as the customer will read it on the invoice. Answers the
    account's credit. Raises NotFound, Invalid."""
    check_text("reason", reason)
    if not reason.strip():
        raise Invalid("say what the credit is for; its line on the invoice says it", field="reason")
    with changing(
        engine, "account.credited", "account", account_id, now=now, by=by, reason=reason
    ) as connection:
        account = get_account(connection, account_id)
        minor = positive_amount(amount, account.currency, "amount")
        grant_credit(connection, account_id, CreditKind.GOODWILL, minor, reason, by=by, now=now)
        return _data(connection, account_id)


def show_credit(engine: sa.Engine, account_id: str) -> dict[str, object]:
    """An account's credit and its whole ledger. Raises NotFound."""
    with reading(engine) as connection:
        return _data(connection, account_id)


def _data(connection: sa.Connection, account_id: str) -> dict[str, object]:
    account = get_account(connection, account_id)
    entries = credits.ledger(connection, account_id)
    return {
        "account": account_id,
        "currency": account.currency,
        "balance": sum(each.amount for each in entries),
        "credits": [
            {
                "id": each.id,
                "description": each.description,
                "granted_at": format_instant(each.granted_at),
                "left": each.amount,
            }
            for each in credits.left(entries)
        ],
        "ledger": [
            {
                "credit": each.credit_id,
                "kind": each.kind.value,
                "amount": each.amount,
                "description": each.description,
                "invoice": each.invoice_id,
                "author": each.author,
                "recorded_at": format_instant(each.recorded_at),
            }
            for each in entries
        ],
    }
