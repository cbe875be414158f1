"""Halves of runs in the database: requests at once, a crash between the steps, and halves that stay alone."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from metering.database import reading
from metering.pairing import state
from metering.pairing.half import STARTED, Half
from metering.pairing.keeping import KEPT_DAYS, keep, settle
from metering.pairing.state import Waiting
from metering.period import DAY_US, SECOND_US, Month, parse_instant
from metering.sources import Admission, decode
from metering.store import EventStore
from tests.metering.test_sources_openlineage import SAMPLE
from tests.stores import Stores

OCTOBER = Month.parse("2026-10")
NOW = parse_instant("2026-10-03T12:00:00Z")
BEGIN = parse_instant("2026-10-03T02:00:00Z")


def start(number: int, account: str = "acme") -> Half:
    return Half(account, f"run-{number}", STARTED, BEGIN)


def end(number: int, account: str = "acme", said: str = "COMPLETED") -> Half:
    return Half(account, f"run-{number}", said, BEGIN + 5 * SECOND_US, flow="etl")


@pytest.fixture
def engine(stores: Stores, store: EventStore) -> sa.Engine:
    """Halves are in the SQL database, wherever events are."""
    return stores.engine_of(store)


def billable(store: EventStore, account: str = "acme") -> int:
    return store.usage(account, OCTOBER.start, OCTOBER.end).counts.billable


def waiting(engine: sa.Engine) -> list[Waiting]:
    with reading(engine) as connection:
        return state.waiting(connection)


def test_halves_in_different_requests_are_one_run(engine: sa.Engine, store: EventStore) -> None:
    assert store.append_halves([end(1), start(2)], NOW) == [True, True]
    assert billable(store) == 0
    assert waiting(engine) == [Waiting("acme", 1, 1, BEGIN)]
    assert store.append_halves([start(1), end(2), end(2), end(1)], NOW) == [True, True, False, False]
    assert billable(store) == 2
    assert waiting(engine) == []


def test_accounts_keep_their_halves_to_themselves(engine: sa.Engine, store: EventStore) -> None:
    store.append_halves([start(1), end(1, "globex")], NOW)
    assert (billable(store), billable(store, "globex")) == (0, 0)
    assert [each.account for each in waiting(engine)] == ["acme", "globex"]


def test_the_sample_file_by_file(store: EventStore) -> None:
    """One event a request, the last first."""
    lines = SAMPLE.read_bytes().splitlines()
    for line in reversed(lines):
        decoded = decode(line, format="openlineage", framing="json", admission=Admission(NOW, "acme"))
        store.append_halves(decoded.halves, NOW)
    counts = store.usage("acme", OCTOBER.start, OCTOBER.end).counts
    assert counts.billable == 2
    assert {reason: quantity for reason, quantity in counts.not_billed.items() if quantity} == {
        "too_short": 1,
        "failed": 1,
        "cancelled": 1,
    }


def test_two_requests_at_once_never_miss_one_another(engine: sa.Engine, store: EventStore) -> None:
    """Each run's halves come by two threads at the same moment."""
    rounds, barrier = 40, threading.Barrier(2)

    def work(half_of: list[Half]) -> None:
        for half in half_of:
            barrier.wait()
            store.append_halves([half, half], NOW)

    threads = [
        threading.Thread(target=work, args=([make(number) for number in range(rounds)],))
        for make in (start, end)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert billable(store) == rounds
    assert store.catch_up(NOW) == 0


def test_the_same_batch_from_two_senders_at_once_is_new_once(store: EventStore) -> None:
    batch = [half for number in range(200) for half in (start(number), end(number))]
    found: list[list[bool]] = []
    threads = [
        threading.Thread(target=lambda order=order: found.append(store.append_halves(order, NOW)))
        for order in (batch, batch[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(sum, found)) == 400
    assert billable(store) == 200


def test_what_a_crash_left_is_metered(engine: sa.Engine, store: EventStore) -> None:
    """Killed once the halves are kept; and once they are metered, before that is noted."""
    keep(engine, [start(1), end(1), end(2, said="FAILED"), start(3)], NOW)
    kept = keep(engine, [start(4), end(4)], NOW)
    store.append(kept.events, NOW)
    assert billable(store) == 1
    assert store.catch_up(NOW) == 3
    assert billable(store) == 2
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.total == 3
    assert waiting(engine) == [Waiting("acme", 1, 0, BEGIN)]
    assert store.catch_up(NOW) == 0


def test_a_half_that_comes_while_another_is_settled_still_waits(engine: sa.Engine, store: EventStore) -> None:
    """A request settles what it read, and not what has come since."""
    first = keep(engine, [start(1), end(1)], NOW)
    late = Half("acme", "run-1", "COMPLETED", BEGIN + SECOND_US, flow="other")
    keep(engine, [late], NOW)  # and is killed
    store.append(first.events, NOW)
    settle(engine, first)
    assert store.catch_up(NOW) == 1
    (run,) = store.runs("acme", OCTOBER.start, OCTOBER.end, 2**62)
    assert (run.flow, run.outcome.reason) == ("etl", "billable")


def test_what_waited_too_long_is_dropped_and_said(
    engine: sa.Engine, store: EventStore, caplog: pytest.LogCaptureFixture
) -> None:
    later = NOW + KEPT_DAYS * DAY_US
    store.append_halves([start(1), start(2), end(3), start(4), end(4)], NOW)
    keep(engine, [start(5), end(5)], NOW)  # killed: these do not wait for one another
    store.append_halves([start(6)], later)
    store.forget_halves(later)
    assert waiting(engine) == [Waiting("acme", 3, 1, BEGIN)]  # not yet
    with caplog.at_level(logging.ERROR):
        store.forget_halves(later + 1)
    assert waiting(engine) == [Waiting("acme", 1, 0, BEGIN)]
    assert (
        "account acme: 2 starts and 1 ends of runs had no other half for 62 days and are dropped, not "
        "metered; the oldest is of 2026-10-03T02:00:00" in caplog.text
    )
    assert billable(store) == 2
    # What is sent again after that counts no run twice.
    store.append_halves([start(4), end(4)], later + 1)
    assert billable(store) == 2


def test_the_sample_is_named_by_its_script() -> None:
    script = Path(__file__).parents[2] / "scripts" / "sample_openlineage.py"
    assert "openlineage-python==1.54.0" in script.read_text()
    assert '"value": "1.54.0"' in SAMPLE.read_text()
