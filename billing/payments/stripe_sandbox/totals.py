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
    """Set a draft's amounts from its lines, their tax, and the customer's balance as it is now."""
    assert invoice["status"] == "draft", "only a draft's amounts follow its lines"
    before_tax = sum(line["amount"] for line in state.lines[invoice["id"]])
    tax = _tax(state, invoice, before_tax)
    balance = state.customers.rows[invoice["customer"]].get("balance", 0)
    due = settle(before_tax + tax, balance, invoice["currency"]).amount_due
    for field in ("subtotal", "subtotal_excluding_tax", "total_excluding_tax"):
        invoice[field] = before_tax
    invoice["total"] = before_tax + tax
    invoice["total_taxes"] = _taxes(state, invoice, before_tax, tax)
    invoice.update(starting_balance=balance, amount_due=due, amount_remaining=due)


def _tax(state: State, invoice: Object, before_tax: int) -> int:
    """On top of the total, rounded half up: of invoices with automatic tax, where Stripe knows the place, or
    with tax rates; of customers that are not exempt."""
    customer = state.customers.rows[invoice["customer"]]
    located = invoice["automatic_tax"]["enabled"] and (customer.get("address") or {}).get("country")
    taxed = bool(located or invoice["default_tax_rates"]) and customer.get("tax_exempt") == "none"
    return (max(before_tax, 0) * state.tax_percent + 50) // 100 if taxed else 0


def _taxes(state: State, invoice: Object, before_tax: int, tax: int) -> list[Object]:
    if not tax:
        return []
    rates = invoice["default_tax_rates"] or [tax_rate(state, "txr_automatic")]
    return [
        {
            "amount": tax,
            "tax_behavior": "exclusive",
            "tax_rate_details": {"tax_rate": rates[0]["id"]},
            "taxability_reason": "standard_rated",
            "taxable_amount": before_tax,
            "type": "tax_rate_details",
        }
    ]


def tax_rate(state: State, id: str) -> Object:
    """The one rate that there is, under any id."""
    return {
        "id": id,
        "object": "tax_rate",
        "active": True,
        "created": state.now,
        "display_name": "VAT",
        "inclusive": False,
        "livemode": False,
        "metadata": {},
        "percentage": float(state.tax_percent),
    }
