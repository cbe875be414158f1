"""Several processes write to one database at once: exact counts, and cutoffs that hold."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

from metering.database import make_engine
from metering.event import TaskRunEvent
from metering.run_list import month_usage
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.events import event
from tests.world import NOVEMBER_2, OCTOBER

STATES = ["COMPLETED", "FAILED", "ROLLED_BACK", "CACHED"]


def _events(seed: int) -> list[TaskRunEvent]:
    """Few runs and many statements about them, by hour and flow: writers meet all the time."""
    chance = random.Random(seed)
    return [
        event(
            f"run-{chance.randrange(150)}",
            account=f"account-{chance.randrange(3)}",
            state=chance.choice(STATES),
            end=f"2026-10-{chance.randrange(1, 4):02d}T{chance.randrange(3):02d}:00:05Z",
            flow=f"flow-{chance.randrange(3)}",
        )
        for _ in range(1200)
    ]


def _split(events: Sequence[TaskRunEvent], chance: random.Random) -> list[list[TaskRunEvent]]:
    shuffled = list(events)
    chance.shuffle(shuffled)
    return [shuffled[start : start + 60] for start in range(0, len(shuffled), 60)]


def test_writers_that_send_the_same_events_count_each_run_once(new_database: NewDatabase) -> None:
    events = _events(1)
    reference = SqlEventStore(new_database())
    accepted_alone = sum(reference.append(events, NOVEMBER_2))
    engine = new_database()
    url = engine.url.render_as_string(hide_password=False)
    accepted: list[int] = []
    seen: list[tuple[int, dict[str, object]]] = []
    errors: list[BaseException] = []
    gate = threading.Barrier(4)

    def write(seed: int) -> None:
        mine = make_engine(url)
        store = SqlEventStore(mine)
        gate.wait()
        try:
            for number, batch in enumerate(_split(events, random.Random(seed))):
                accepted.append(sum(store.append(batch, NOVEMBER_2)))
                if number % 7 == seed:
                    cutoff = store.cutoff().position
                    seen.append((cutoff, _runs(store, cutoff)))
        except BaseException as error:
            errors.append(error)
        mine.dispose()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(accepted) == accepted_alone
    store = SqlEventStore(engine)
    cutoff = store.cutoff().position
    assert _runs(store, cutoff) == _runs(reference, reference.cutoff().position)
    for account in ("account-0", "account-1", "account-2"):
        counted = store.usage(account, OCTOBER.start, OCTOBER.end, by="hour", group_by="flow")
        assert counted == reference.usage(account, OCTOBER.start, OCTOBER.end, by="hour", group_by="flow")
        runs = store.runs(account, OCTOBER.start, OCTOBER.end, cutoff)
        assert month_usage(runs).counts == counted.counts
    # What was seen at a cutoff, while others were writing, is what it is for ever.
    assert len(seen) >= 8
    for position, then in seen:
        assert _runs(store, position) == then


def _runs(store: SqlEventStore, cutoff: int) -> dict[str, object]:
    return {
        account: list(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff))
        for account in ("account-0", "account-1", "account-2")
    }
