"""A difference between two of the three sides, and its causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Between = Literal["source-meter", "meter-invoice", "invoice-stripe"]

METER_DIFFERS = "meter differs from the source"
LATE_EVENTS = "late events not yet adjusted"
NOT_ADJUSTED = "terms or credit not yet adjusted"
NOT_INVOICED = "not invoiced"
UNASSIGNED = "unassigned account"
MISSING = "missing in Stripe"
EXTRA = "extra in Stripe"
TOTAL_DIFFERS = "total differs"
NUMBER_DIFFERS = "number differs"
LINES_DIFFER = "lines differ"
PAID_DIFFERS = "paid state differs"
LINK_DIFFERS = "link differs"
NOTES_DIFFER = "credit notes differ"
VOID_WAITS = "void not done in Stripe"

# How a difference can be mended without a person: take over what Stripe has; do what was meant to be done
# there; delete a draft there that is one too many.
Fix = Literal["refresh", "send", "delete draft"]


@dataclass(frozen=True, slots=True)
class Difference:
    """`quantity` (task runs) and `amount` (minor units of `currency`) are ours less theirs: the meter's less
    the source's, the meter's less what was invoiced, our invoice's less Stripe's. None where a difference is
    not one of quantity, or of amount. `message` says what it is, and what to do. `invoice` is a number."""

    account: str
    between: Between
    cause: str
    message: str
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    invoice: str | None = None
    invoice_id: str | None = None
    stripe_invoice_id: str | None = None
    fix: Fix | None = None

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers: what does not apply is left out."""
        named: dict[str, object] = {
            "account": self.account,
            "between": self.between,
            "cause": self.cause,
            "message": self.message,
        }
        more = ("quantity", "amount", "currency", "invoice", "invoice_id", "stripe_invoice_id")
        named |= {name: value for name in more if (value := getattr(self, name)) is not None}
        return named | {"fixable": self.fix is not None}
