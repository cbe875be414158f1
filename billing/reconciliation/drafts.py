"""Which drafts at Stripe are this service's own. Pure."""

from __future__ import annotations

from billing.payments.stripe_objects import StripeLine

Lines = tuple[tuple[str, int], ...]


def is_our_draft(held: tuple[StripeLine, ...] | None, *ours: Lines) -> bool:
    """Whether a draft is as this service leaves one: without lines yet, or with ours. What somebody wrote
    into it is not ours to delete, whatever its metadata says."""
    if held is None:
        return False
    theirs = sorted((line.description, line.amount) for line in held)
    return not theirs or any(theirs == sorted(lines) for lines in ours)
