"""Assertions of the stories' modules say what they compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.scenarios.audit",
    "tests.scenarios.office",
    "tests.scenarios.sights",
    "tests.scenarios.deeds",
    "tests.billing.revenue.ties",
)
