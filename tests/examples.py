"""How many examples a property takes whose every example is a long story: a share of the profile's. And which
seeds are played, of stories that are drawn from one."""

from __future__ import annotations

import os

from hypothesis import settings

# So many seeds a test: a parameter each would be slow to collect.
BATCH = 10


def seeds(by_day: int, at_night: int) -> range:
    """So many from 0, or those that BILLING_TEST_SEED names: `17`, or from one to another, `2350-9999`."""
    given = os.environ.get("BILLING_TEST_SEED")
    if given:
        first, _, last = given.partition("-")
        return range(int(first), int(last or first) + 1)
    return range(at_night if settings().max_examples > 200 else by_day)


def batches(of: range) -> list[range]:
    """In a few tests: each is of ten seeds, the last of what is left."""
    return [of[place : place + BATCH] for place in range(0, len(of), BATCH)]


def few(quantity: int) -> settings:
    """So many examples in a hurry, and at night as many as any property takes: each is cheap."""
    held = settings.get_profile(settings.get_current_profile_name())
    at_night = held.max_examples > 200
    return settings(held, max_examples=held.max_examples if at_night else min(quantity, held.max_examples))


def share(percent: int) -> settings:
    """So many percent of the examples of the profile that is loaded (tests/conftest.py)."""
    held = settings.get_profile(settings.get_current_profile_name())
    return settings(held, max_examples=max(1, held.max_examples * percent // 100))
