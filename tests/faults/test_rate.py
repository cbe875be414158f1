"""What all processes together ask of Stripe stays below its limits, in simulated time."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.payments.errors import TryAgain
from billing.payments.rate import (
    FIRST,
    HELD_US,
    MOST,
    SETTLES_US,
    SHARES,
    WINDOW_US,
    Pace,
    Rate,
    reserve,
)
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule
from billing.repository.rate import StoredRate
from billing.stripe_tables import stripe_rate
from metering.database import reading
from metering.period import SECOND_US
from tests.conftest import NewDatabase
from tests.faults.month_at_stripe import ANSWERS_US, Month, most_in_a_second
from tests.faults.simulation import Simulation
from tests.world import NOVEMBER_2


def test_one_endpoint_is_never_called_too_often(sqlite_databases: NewDatabase) -> None:
    """By three processes that do nothing else: all but two of its twenty-five calls a second are used."""
    engine = sqlite_databases()
    time = Simulation(NOVEMBER_2, threads=3)
    made: list[tuple[int, str]] = []

    def work(name: str) -> None:
        pace = Pace(StoredRate(engine), time.now, time.wait)
        time.wait(ord(name) * 7_000)  # nobody begins at the same instant
        while time.now() < NOVEMBER_2 + 20 * SECOND_US:
            pace.before("POST /v1/invoices")
            made.append((time.now(), name))
            time.wait(ANSWERS_US)
        time.leave()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most_in_a_second([at for at, _ in made]) <= SHARES < 25
    assert len(made) > 15 * SHARES
    assert min(Counter(name for _, name in made).values()) > len(made) / 10


def test_a_refusal_slows_everybody_down_and_is_forgotten_slowly(new_database: NewDatabase) -> None:
    engine = new_database()
    time = Simulation(NOVEMBER_2)
    one, two = (Pace(StoredRate(engine), time.now, time.wait) for _ in range(2))

    def calls_in(pace: Pace, seconds: int) -> int:
        end, made = time.now() + seconds * SECOND_US, 0
        while time.now() < end:
            pace.before("GET /v1/invoices/{id}")
            made += 1
        return made

    calls_in(one, 3)
    assert calls_in(one, 10) >= 190
    one.refused(0)
    assert calls_in(one, 4) <= 4 * 13
    one.refused(5 * SECOND_US)
    begun = time.now()
    two.before("GET /v1/invoices/{id}")
    assert time.now() - begun >= 5 * SECOND_US
    time.wait(60 * SECOND_US)
    calls_in(one, 3)
    assert calls_in(one, 10) >= 190
    one.refused(3600 * SECOND_US)
    with pytest.raises(TryAgain, match="rate limit"):
        two_later(time, two)


def two_later(time: Simulation, pace: Pace) -> None:
    time.wait(3 * SECOND_US)
    pace.before("GET /v1/invoices/{id}")


def test_what_stripe_says_reaches_the_pace(sqlite_databases: NewDatabase) -> None:
    month = Month(sqlite_databases()).finalize(2)
    route = "/v1/invoices"
    month.sandbox.faults = FaultSchedule(
        [
            Fault("POST", route, nth=1, kind=FaultKind.LOCK_TIMEOUT_429),
            Fault("POST", route, nth=3, kind=FaultKind.RATE_LIMITED_429),
        ]
    )
    service = month.service()
    assert len(service.send_due().waiting) == 1
    with reading(service.engine) as connection:
        data = connection.scalars(sa.select(stripe_rate.c.data)).one()
    assert json.loads(data)["factor"] == 0.5


def test_a_newcomer_gets_its_part_though_another_needs_all() -> None:
    rate = reserve(Rate(), "a", MOST, 0)
    assert rate.shares["a"].size == MOST
    rate = reserve(rate, "b", MOST, 0)
    assert rate.shares["b"].size == SHARES - MOST
    rate = reserve(rate, "c", MOST, 0)
    assert rate.shares["c"].size == 0  # it waits, and the others see it
    rate = reserve(rate, "a", MOST, HELD_US)
    assert rate.shares["a"].size == SHARES // 3
    rate = reserve(rate, "c", MOST, HELD_US)
    assert rate.shares["c"].size == 0  # what was given up a moment ago still counts
    rate = reserve(rate, "c", FIRST, HELD_US + SETTLES_US)
    assert rate.shares["c"].size == FIRST


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(1, 30), st.integers(0, 2 * HELD_US)), max_size=60
    )
)
def test_no_more_is_given_than_there_is(asked: list[tuple[str, int, int]]) -> None:
    """What anybody may have used within the last second, and may use now, is never more than all."""
    rate, now = Rate(), 0
    held: list[tuple[str, int, int, int]] = []  # who, size, from, to
    for holder, wants, later in asked:
        now += later
        rate = reserve(rate, holder, wants, now)
        held = [(who, size, start, min(end, now) if who == holder else end) for who, size, start, end in held]
        held.append((holder, rate.shares[holder].size, now, now + HELD_US))
        recent: dict[str, int] = defaultdict(int)
        for who, size, _, end in held:
            if end > now - WINDOW_US:
                recent[who] = max(recent[who], size)
        assert sum(recent.values()) <= SHARES
