from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.billing.alerts.receiver import Postbox, Receiver, posting, receiving
from tests.billing.alerts.small import small
from tests.world import World


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return small(engine)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def mail_server() -> Iterator[tuple[Postbox, str]]:
    with posting() as made:
        yield made
