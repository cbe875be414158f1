"""An invoice of ours and the same at Stripe, to be changed by tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from billing.payments.stripe_objects import StripeInvoice, StripeLine
from billing.reconciliation.with_stripe import Listed, Ours
from metering.period import SECOND_US, Month, parse_instant

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)
MADE = parse_instant("2026-11-02T00:01:00Z") // SECOND_US


def ours(**changes: Any) -> Ours:
    """Five dollars, sent and not paid."""
    made = Ours(
        "inv_1",
        "acme",
        "2026-10-000001",
        "open",
        "USD",
        500,
        0,
        (("free", 0), ("runs", 500)),
        "billing run 2026-10",
        stripe_invoice_id="in_1",
    )
    return replace(made, **changes)


def theirs(mine: Ours | None = None, **changes: Any) -> StripeInvoice:
    """The same at Stripe, as our books have it."""
    mine = mine or ours()
    made = StripeInvoice(
        id=mine.stripe_invoice_id or "in_1",
        status={"finalized": "draft"}.get(mine.status, mine.status),
        number=mine.number,
        currency=mine.currency,
        total_excluding_tax=mine.total,
        amount_paid=mine.amount_paid,
        amount_remaining=mine.total - mine.amount_paid,
        charge_automatically=False,
        invoice_id=mine.id,
        hosted_invoice_url=mine.page,
        invoice_pdf=mine.pdf,
        lines=tuple(StripeLine(*line) for line in mine.lines),
        customer=f"cus_{mine.account}",
        created=MADE,
        credited=mine.credited,
    )
    return replace(made, **changes)


def listed(mine: Ours | None = None, month: Month = OCTOBER, **changes: Any) -> Listed:
    mine = mine or ours()
    return Listed(theirs(mine, **changes), mine.id, month)
