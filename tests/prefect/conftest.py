"""One real Prefect server a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.prefect.running import RunningPrefect, running_prefect


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrefect]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as running:
        yield running
