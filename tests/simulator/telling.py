"""Tells the story of a seed on the real service, and says how to have it told again."""

from __future__ import annotations

import sqlalchemy as sa

from tests.scenarios.office import EventFeed, Office
from tests.scenarios.story import story_from_data
from tests.scenarios.test_stories import tell_in
from tests.scenarios.verbs import VERBS
from tests.simulator.commerce import write
from tests.simulator.writer import story_text

AGAIN = "BILLING_TEST_SEED={} python -m pytest tests/simulator"


def play(seed: int, engine: sa.Engine, mortal: sa.Engine | None = None) -> None:
    """Every tenth one with all that stories are checked for without being told. Raises AssertionError with
    the story as a file of tests/scenarios, and the command that tells it again."""
    data, hurries = write(seed), seed % 10 != 0
    try:
        office = Office(engine, EventFeed(engine), hurries=hurries, mortal=mortal)
        tell_in(office, story_from_data(data, f"seed-{seed}", VERBS))
    except Exception as error:
        notes = "\n".join([f"seed {seed}: {error}", *getattr(error, "__notes__", ()), AGAIN.format(seed)])
        raise AssertionError(f"{notes}\n\n{story_text(data)}") from error
