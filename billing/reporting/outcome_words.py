"""What the customer reads of outcomes and of the states of invoices: the same on pages and in documents."""

from __future__ import annotations

from collections.abc import Mapping

# In the order in which they are listed; the names are those of the outcomes.
OUTCOMES: Mapping[str, str] = {
    "billable": "Billed",
    "too_short": "Too short",
    "cached": "From a cache",
    "failed": "Failed",
    "crashed": "Crashed",
    "cancelled": "Cancelled",
    "reversed": "Reversed",
}
WHY: Mapping[str, str] = {
    "too_short": "succeeded, but in a second or less",
    "cached": "the result was there already; nothing ran",
    "failed": "ended with an error",
    "crashed": "the infrastructure broke down",
    "cancelled": "stopped before it was done",
    "reversed": "taken back, by a rollback or a correction",
}
INVOICE_STATUS: Mapping[str, str] = {
    "finalized": "Issued",
    "open": "To be paid",
    "paid": "Paid",
    "void": "Void",
    "uncollectible": "Not collected",
}
