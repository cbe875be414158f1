"""What stories assert says what it compared."""

import pytest

pytest.register_assert_rewrite(
    "tests.scenarios.audit", "tests.scenarios.office", "tests.scenarios.sights", "tests.scenarios.deeds"
)
