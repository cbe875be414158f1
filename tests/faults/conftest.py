from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.served import Served

Serve = Callable[[str, str], Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a database, with a key; whatever became of the test, none is left running."""
    begun: list[Served] = []

    def start(url: str, key: str) -> Served:
        begun.append(Served(url, key, tmp_path))
        return begun[-1]

    yield start
    for each in begun:
        each.kill()
