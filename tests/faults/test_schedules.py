"""Random fault schedules, each from its seed: whatever goes wrong, and wherever the process is killed, there
is one invoice at Stripe for one of ours, nobody is charged twice, and what is not done says what to do.

One seed alone: `BILLING_TEST_SEED=17 python -m pytest tests/faults/test_schedules.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from metering.database import make_engine
from tests.conftest import NewDatabase
from tests.faults.schedules import Schedule, draw
from tests.faults.story import Story

# Under the nightly profile, many more.
SEEDS = 60 if settings().max_examples <= 200 else 10_000
ONE = os.environ.get("BILLING_TEST_SEED")
# So many seeds a test: a parameter each would be slow to collect.
BATCH = 10


class Stage:
    """One database, put back as it was before each story: what the engines prepared stays prepared."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._mortal = make_engine(engine.url.render_as_string(hide_password=False))
        self._file = Path(str(engine.url.database))
        self._empty = self._file.read_bytes()

    def play(self, schedule: Schedule) -> None:
        try:
            Story(self._engine, self._mortal, schedule).play()
        except Exception as error:
            raise AssertionError(f"seed {schedule.seed}: {error}\n{schedule}") from error
        finally:
            self._clear()

    def _clear(self) -> None:
        for engine in (self._engine, self._mortal):
            engine.dispose()
        for more in ("-wal", "-shm"):
            self._file.with_name(self._file.name + more).unlink(missing_ok=True)
        self._file.write_bytes(self._empty)


@pytest.mark.parametrize("first", [int(ONE)] if ONE else range(0, SEEDS, BATCH))
def test_whatever_goes_wrong_an_invoice_is_sent_once(sqlite_databases: NewDatabase, first: int) -> None:
    stage = Stage(sqlite_databases())
    for seed in range(first, first + (1 if ONE else BATCH)):
        stage.play(draw(seed))
