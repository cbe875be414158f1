"""Every story beside this file, told on a store of quantities; the small ones also event by event, on SQLite
and, the smallest, on PostgreSQL. README.md says how stories are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.errors import BillingError
from tests.scenarios import deeds, sights
from tests.scenarios.audit import audit
from tests.scenarios.office import EventFeed, Feed, Office, QuantityFeed
from tests.scenarios.story import Step, Story, read_story, whole
from tests.scenarios.verbs import VERBS

assert deeds, sights  # their sentences are known once they are imported

STORIES = {path.stem: read_story(path, VERBS) for path in sorted(Path(__file__).parent.glob("*.yaml"))}

# So many task runs at most are sent one by one.
FEW_ON_SQLITE = 12_500
FEW_ON_POSTGRESQL = 2_000


def _runs(story: Story) -> int:
    """How many task runs a story sends."""
    return sum(
        whole(part.split(" ")[0]) * len(sights.days(when))
        for step in story.steps
        for clause in step.clauses
        if clause.verb.text == "runs of {account}"
        for when, what in clause.value.items()
        for part in what.split(", ")
    )


def _names_events(story: Story) -> bool:
    return any(clause.verb.text == "events of {account}" for step in story.steps for clause in step.clauses)


def _up_to(runs: int) -> list[str]:
    return [name for name, story in STORIES.items() if _runs(story) <= runs]


@pytest.mark.parametrize("name", [name for name in STORIES if not _names_events(STORIES[name])])
def test_story(name: str, sqlite_databases: Callable[[], sa.Engine]) -> None:
    tell(STORIES[name], sqlite_databases(), QuantityFeed())


@pytest.mark.parametrize("name", _up_to(FEW_ON_SQLITE))
def test_story_event_by_event(name: str, sqlite_databases: Callable[[], sa.Engine]) -> None:
    engine = sqlite_databases()
    tell(STORIES[name], engine, EventFeed(engine))


@pytest.mark.parametrize("name", _up_to(FEW_ON_POSTGRESQL))
def test_story_on_postgresql(name: str, postgres_databases: Callable[[], sa.Engine]) -> None:
    engine = postgres_databases()
    tell(STORIES[name], engine, EventFeed(engine))


def tell(story: Story, engine: sa.Engine, feed: Feed) -> Office:
    office = Office(engine, feed)
    tell_in(office, story)
    return office


def tell_in(office: Office, story: Story) -> None:
    for number, step in enumerate(story.steps, start=1):
        try:
            _carry_out(step, office)
        except Exception as error:
            error.add_note(f"in step {number} of {story.name}.yaml, on {step.on}")
            raise
    audit(office)


def _carry_out(step: Step, office: Office) -> None:
    office.open(step.on)
    for clause in step.clauses:
        if step.refused is not None and not clause.verb.expects:
            with pytest.raises(BillingError) as caught:
                clause.carry_out(office)
            assert step.refused in str(caught.value), f"refused, but: {caught.value}"
        else:
            clause.carry_out(office)
    assert not office.failed, f"accounts that were not billed: {office.failed}"
    assert not office.unassigned, f"accounts that billing does not know: {office.unassigned}"
