"""An invoice's amounts: the sum of its lines, and what of it is due now."""

from __future__ import annotations

from typing import NamedTuple

from billing.payments.stripe_sandbox.currencies import CURRENCIES
from billing.payments.stripe_sandbox.state import Object, State


class Settlement(NamedTuple):
    """How a total meets the customer's balance. `kind`: the balance transaction's type, if there is one."""

    amount_due: int
    ending_balance: int
    kind: str


def settle(total: int, starting_balance: int, currency: str) -> Settlement:
    """What is due of `total` for a customer who owes `starting_balance` (negative: who is owed it).

    All amounts are in the minor unit. A sum below the currency's minimum charge is not due: it stays on the
    customer's balance until an invoice is large enough.

    >>> settle(2500, 0, "usd")
    Settlement(amount_due=2500, ending_balance=0, kind='applied_to_invoice')
    >>> settle(49, 0, "usd")
    Settlement(amount_due=0, ending_balance=49, kind='invoice_too_small')
    >>> settle(1000, -1500, "usd")
    Settlement(amount_due=0, ending_balance=-500, kind='applied_to_invoice')
    """
    owed = total + starting_balance
    if owed <= 0:
        return Settlement(0, owed, "applied_to_invoice")
    if owed < CURRENCIES[currency]:
        return Settlement(0, owed, "invoice_too_small")
    return Settlement(owed, 0, "applied_to_invoice")


def recompute(state: State, invoice: Object) -> None:
    """Set a draft's amounts from its lines and the customer's balance as it is now."""
    assert invoice["status"] == "draft", "only a draft's amounts follow its lines"
    total = sum(line["amount"] for line in state.lines[invoice["id"]])
    balance = state.customers.rows[invoice["customer"]].get("balance", 0)
    due = settle(total, balance, invoice["currency"]).amount_due
    for field in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"):
        invoice[field] = total
    invoice.update(starting_balance=balance, amount_due=due, amount_remaining=due)
