"""Where the collection of an invoice stands: what somebody has to look at, and what Stripe does itself."""

from __future__ import annotations

from typing import Literal

from billing.repository.collection import Collection
from metering.period import format_instant, format_optional

Dunning = Literal[
    "not finalized",
    "waiting",
    "retrying",
    "action required",
    "past due",
    "exhausted",
    "uncollectible",
    "none",
]

# Somebody should look at these.
FAILING = ("not finalized", "retrying", "action required", "past due", "exhausted")


def dunning(  # noqa: PLR0911 - one line a state reads best
    status: str, held: Collection, now: int
) -> Dunning:
    """The state of dunning of an invoice with our `status`, as of an instant.

    `none`: nothing is to be collected. `waiting`: not paid yet, nothing went wrong. `retrying`: an attempt
    failed, Stripe tries again. `action required`: the customer has to confirm the payment. `past due`: the
    day by which it had to be paid is over. `exhausted`: attempts failed, and Stripe makes no more.
    `not finalized`: Stripe could not finalize it. `uncollectible`: given up by a person.
    """
    if status == "finalized":
        return "not finalized" if held.finalization_error else "none"
    if status == "uncollectible":
        return "uncollectible"
    if status != "open":
        return "none"
    if held.action_required:
        return "action required"
    if held.attempts and held.next_attempt_at is not None:
        return "retrying"
    if held.attempts and held.charge_automatically:
        return "exhausted"
    if held.due_at is not None and held.due_at < now:
        return "past due"
    return "waiting"


def collection_data(status: str, held: Collection, now: int) -> dict[str, object]:
    """Where the collection stands, in the shape of JSON answers."""
    return {
        "dunning": dunning(status, held, now),
        "amount_due": held.amount_due,
        "amount_remaining": held.amount_remaining,
        "tax": held.tax,
        "method": "charge_automatically" if held.charge_automatically else "send_invoice",
        "attempts": held.attempts,
        "next_attempt_at": format_optional(held.next_attempt_at),
        "due_at": format_optional(held.due_at),
        "failure": held.failure or held.finalization_error,
        "fetched_at": format_instant(held.fetched_at),
    }
