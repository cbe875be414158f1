"""How many examples a property takes whose every example is a long story: a share of the profile's."""

from __future__ import annotations

from hypothesis import settings


def share(percent: int) -> settings:
    """So many percent of the examples of the profile that is loaded (tests/conftest.py)."""
    held = settings.get_profile(settings.get_current_profile_name())
    return settings(held, max_examples=max(1, held.max_examples * percent // 100))
