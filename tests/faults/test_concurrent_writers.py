"""Several processes write to one database at once: exact counts, and cutoffs that hold."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

from metering.event import TaskRunEvent
from metering.run_list import month_usage
from metering.store import EventStore
from tests.events import event
from tests.stores import Stores
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


def test_writers_that_send_the_same_events_count_each_run_once(stores: Stores) -> None:
    events = _events(1)
    reference = stores.new()
    accepted_alone = sum(reference.append(events, NOVEMBER_2))
    store = stores.new()
    accepted: list[int] = []
    seen: list[tuple[int, dict[str, object]]] = []
    errors: list[BaseException] = []
    gate = threading.Barrier(4)

    def write(seed: int) -> None:
        mine = stores.again(store)
        gate.wait()
        try:
            for number, batch in enumerate(_split(events, random.Random(seed))):
                accepted.append(sum(mine.append(batch, NOVEMBER_2)))
                if number % 7 == seed:
                    cutoff = mine.cutoff().position
                    seen.append((cutoff, _runs(mine, cutoff)))
        except BaseException as error:
            errors.append(error)
        mine.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(accepted) == accepted_alone
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


def _runs(store: EventStore, cutoff: int) -> dict[str, object]:
    return {
        account: list(store.runs(account, OCTOBER.start, OCTOBER.end, cutoff))
        for account in ("account-0", "account-1", "account-2")
    }
