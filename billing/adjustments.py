"""What the next invoice of an account would adjust of its invoiced months."""

from __future__ import annotations

from billing.billing_month import window_counts
from billing.pricing.adjustment import Adjustment
from billing.pricing.books import Books, first_month, month_basis
from billing.pricing.catalogue import Catalogue
from metering.store import EventStore


def to_adjust(
    store: EventStore, held: Books, catalogue: Catalogue, *, cutoff: int | None = None
) -> tuple[Adjustment, ...]:
    """Of each invoiced month, what it costs now and what was billed for it; of the events up to `cutoff`,
    where given. Raises PricingError."""
    if not held.issued:
        return ()
    month = max(each.month for each in held.issued).next()
    first = first_month(held, month)
    if cutoff is None:
        days = window_counts(store.usage(held.account, first.start, month.start, by="day").windows)
    else:
        days = store.days(held.account, first.start, month.start, cutoff)
    return month_basis(held, catalogue, month, days).adjustments
