"""How many examples a property takes whose every example is a long story: a share of the profile's."""

from __future__ import annotations

from hypothesis import settings


def few(quantity: int) -> settings:
    """So many examples in a hurry, and at night as many as any property takes: each is cheap."""
    held = settings.get_profile(settings.get_current_profile_name())
    at_night = held.max_examples > 200
    return settings(held, max_examples=held.max_examples if at_night else min(quantity, held.max_examples))


def share(percent: int) -> settings:
    """So many percent of the examples of the profile that is loaded (tests/conftest.py)."""
    held = settings.get_profile(settings.get_current_profile_name())
    return settings(held, max_examples=max(1, held.max_examples * percent // 100))
