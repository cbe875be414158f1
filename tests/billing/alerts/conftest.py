from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.billing.alerts.receiver import Postbox, Receiver, posting, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def mail_server() -> Iterator[tuple[Postbox, str]]:
    with posting() as made:
        yield made
