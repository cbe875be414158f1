"""Random fault schedules, each from its seed: whatever goes wrong, and wherever the process is killed, there
is one invoice at Stripe for one of ours, nobody is charged twice, and what is not done says what to do.

One seed alone: `BILLING_TEST_SEED=17 python -m pytest tests/faults/test_schedules.py`.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.conftest import NewDatabase
from tests.faults.schedules import Schedule, draw
from tests.faults.stage import Stage
from tests.faults.story import Story

# Under the nightly profile, many more.
SEEDS = 60 if settings().max_examples <= 200 else 10_000
ONE = os.environ.get("BILLING_TEST_SEED")
# So many seeds a test: a parameter each would be slow to collect.
BATCH = 10


def play(stage: Stage, schedule: Schedule) -> None:
    try:
        Story(stage.engine, stage.mortal, schedule).play()
    except Exception as error:
        raise AssertionError(f"seed {schedule.seed}: {error}\n{schedule}") from error
    finally:
        stage.clear()


@pytest.mark.parametrize("first", [int(ONE)] if ONE else range(0, SEEDS, BATCH))
def test_whatever_goes_wrong_an_invoice_is_sent_once(sqlite_databases: NewDatabase, first: int) -> None:
    stage = Stage(sqlite_databases())
    for seed in range(first, first + (1 if ONE else BATCH)):
        play(stage, draw(seed))
