"""Months of random commerce on the real service, against books that are kept the slow way: every invoice by
its lines, every balance, every refusal. A seed that fails prints its story, and the command that tells it
again."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from billing.payments.stripe_sandbox import StripeSandbox, running_sandbox
from tests.conftest import NewDatabase
from tests.faults.stage import Stage
from tests.scenarios.office import hurried
from tests.simulator.telling import play, play_and_send

# Under the nightly profile, many more.
SEEDS = 100 if settings().max_examples <= 200 else 10_000
ONE = os.environ.get("BILLING_TEST_SEED")
# So many seeds a test: a parameter each would be slow to collect.
BATCH = 10


@pytest.mark.parametrize("first", [int(ONE)] if ONE else range(0, SEEDS, BATCH))
def test_months_of_commerce_come_to_what_the_rules_say(sqlite_databases: NewDatabase, first: int) -> None:
    stage = Stage(sqlite_databases())
    hurried(stage.engine)
    hurried(stage.mortal)
    for seed in range(first, first + (1 if ONE else BATCH)):
        try:
            play(seed, stage.engine, stage.mortal)
        finally:
            stage.clear()


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else range(SEEDS // 20))
def test_what_stripe_is_sent_is_what_the_rules_say(sqlite_databases: NewDatabase, seed: int) -> None:
    engine = sqlite_databases()
    hurried(engine)
    with running_sandbox(StripeSandbox(), deliver_webhooks=False) as sandbox:
        play_and_send(seed, engine, sandbox)
    engine.dispose()


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else range(0, SEEDS // 4, 10))
def test_postgresql_keeps_the_same_books(postgres_databases: NewDatabase, seed: int) -> None:
    """With all that stories are checked for without being told."""
    engine = postgres_databases()
    play(seed, engine)
    engine.dispose()
