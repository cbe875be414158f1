"""The examples, run against the real service as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.plain_python import metered
from metering.client import Client, SpoolError
from metering.clock import now_instant
from metering.period import HOUR_US, hour_of
from metering.usage import Run
from tests.conftest import NewDatabase
from tests.metering.client.service import ingest_key, served
from tests.test_readme import ROOT
from tests.world import World


@pytest.fixture
def world(sqlite_databases: NewDatabase) -> World:
    return World(sqlite_databases(), now=now_instant())


def runs_of_today(world: World) -> list[Run]:
    hour = hour_of(now_instant()) * HOUR_US
    return list(world.store.runs("acme", hour - 2 * HOUR_US, hour + 2 * HOUR_US, 2**62))


def test_plain_python(world: World, tmp_path: Path) -> None:
    with served(world) as (url, _):
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "plain_python.py"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "BILLING_URL": url,
                "BILLING_KEY": ingest_key(world),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "accepted=1" in done.stdout
    (run,) = runs_of_today(world)
    assert (run.outcome.reason, run.flow) == ("billable", "example")
    assert 1_100_000 <= run.duration_us < 30_000_000


def test_a_call_that_raises_failed_and_raises(world: World, tmp_path: Path) -> None:
    with served(world) as (url, _), Client(url, ingest_key(world), spool=tmp_path) as client:

        @metered(client, account="acme")
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
    assert [run.outcome.reason for run in runs_of_today(world)] == ["failed"]


def test_what_cannot_be_metered_runs_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Client):
        def send(self, *events: object) -> None:
            raise SpoolError("the spool cannot be used")

    client = Broken("http://127.0.0.1:9", "bk_ingest_1", spool=tmp_path)

    @metered(client, account="acme")
    def work() -> int:
        return 42

    assert work() == 42
    assert "is not metered" in caplog.text
    client.close()
