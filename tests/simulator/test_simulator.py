"""Months of random commerce on the real service, against books that are kept the slow way: every invoice by
its lines, every balance, every refusal. A seed that fails prints its story, and the command that tells it
again."""

from __future__ import annotations

import pytest

from billing.payments.stripe_sandbox import StripeSandbox, running_sandbox
from tests.conftest import NewDatabase
from tests.examples import batches, seeds
from tests.faults.stage import Stage
from tests.scenarios.office import hurried
from tests.simulator.telling import play, play_and_send

SEEDS = seeds(by_day=100, at_night=10_000)


@pytest.mark.parametrize("batch", batches(SEEDS), ids=str)
def test_months_of_commerce_come_to_what_the_rules_say(sqlite_databases: NewDatabase, batch: range) -> None:
    stage = Stage(sqlite_databases())
    hurried(stage.engine)
    hurried(stage.mortal)
    for seed in batch:
        try:
            play(seed, stage.engine, stage.mortal)
        finally:
            stage.clear()


@pytest.mark.parametrize("seed", SEEDS[::20])
def test_what_stripe_is_sent_is_what_the_rules_say(sqlite_databases: NewDatabase, seed: int) -> None:
    engine = sqlite_databases()
    hurried(engine)
    with running_sandbox(StripeSandbox(), deliver_webhooks=False) as sandbox:
        play_and_send(seed, engine, sandbox)
    engine.dispose()


@pytest.mark.parametrize("seed", SEEDS[::40])
def test_postgresql_keeps_the_same_books(postgres_databases: NewDatabase, seed: int) -> None:
    """Of tenth seeds: with all that stories are checked for without being told."""
    engine = postgres_databases()
    play(seed, engine)
    engine.dispose()
