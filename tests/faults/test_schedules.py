"""Random fault schedules, each from its seed: whatever goes wrong, and wherever the process is killed, there
is one invoice at Stripe for one of ours, nobody is charged twice, and what is not done says what to do.

One seed alone: `BILLING_TEST_SEED=17 python -m pytest tests/faults/test_schedules.py`; some, `2350-9999`.
"""

from __future__ import annotations

import pytest

from tests.conftest import NewDatabase
from tests.examples import batches, seeds
from tests.faults.schedules import Schedule, draw
from tests.faults.stage import Stage
from tests.faults.story import Story

SEEDS = seeds(by_day=60, at_night=10_000)


def play(stage: Stage, schedule: Schedule) -> None:
    try:
        Story(stage.engine, stage.mortal, schedule).play()
    except Exception as error:
        raise AssertionError(f"seed {schedule.seed}: {error}\n{schedule}") from error
    finally:
        stage.clear()


@pytest.mark.parametrize("batch", batches(SEEDS), ids=str)
def test_whatever_goes_wrong_an_invoice_is_sent_once(sqlite_databases: NewDatabase, batch: range) -> None:
    stage = Stage(sqlite_databases())
    for seed in batch:
        play(stage, draw(seed))
