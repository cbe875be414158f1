"""Starts the engine for the tests, or says what to install; a real server may be named instead."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# Names a server to test against instead: clickhouse://user:password@host:8123
GIVEN = "CLICKHOUSE_URL"


def require_engine() -> None:
    """Skips the test, loudly, where ClickHouse cannot be had."""
    needed = ["clickhouse_connect"] if os.environ.get(GIVEN) else ["clickhouse_connect", "chdb"]
    missing = [name.replace("_", "-") for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"ClickHouse is NOT tested: {' and '.join(missing)} missing; python -m pip install"
            f" {' '.join(missing)} (or name a server in {GIVEN})"
        )


@contextmanager
def running_clickhouse(folder: Path, given: str | None = None) -> Iterator[str]:
    """Yields the URL of a server without a database: the one that is given, or one of our own."""
    given = given or os.environ.get(GIVEN)
    if given:
        yield given.rstrip("/")
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.clickhouse.endpoint", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        assert port, "the engine did not start"
        yield f"clickhouse://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
