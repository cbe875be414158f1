"""A month goes to Stripe below its limits, in simulated time: from one process, from four at once, killed and
started again."""

from __future__ import annotations

import contextlib
import gc
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.app import Service
from billing.payments.desk import CLAIM_US
from billing.payments.errors import TryAgain
from billing.payments.outbox import send_due
from billing.payments.rate import (
    FIRST,
    HELD_US,
    MOST,
    SETTLES_US,
    SHARES,
    WINDOW_US,
    Pace,
    Rate,
    endpoint,
    reserve,
)
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, Fault, FaultKind, FaultSchedule, StripeSandbox
from billing.pricing.line import Line, LineKind
from billing.pricing.terms import Terms
from billing.repository import accounts, invoices, outbox
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.rate import StoredRate
from billing.stripe_tables import stripe_rate
from metering.database import make_engine, reading, writing
from metering.period import SECOND_US
from metering.store.sql import SqlEventStore
from tests.conftest import NewDatabase
from tests.faults.in_process import Wire
from tests.faults.killing import KillAt, Killed, MortalGateway
from tests.faults.simulation import Simulation
from tests.settled import assert_at_rest
from tests.world import NOVEMBER_2, OCTOBER, World

# Under the nightly profile, a month of ten thousand.
INVOICES = 200 if settings().max_examples <= 200 else 10_000
# How long Stripe takes to answer: so little that the limits are met.
ANSWERS_US = 2_000


class TimedWire(Wire):
    """Each call takes a moment; `arrivals` says when each arrived, by endpoint."""

    def __init__(self, sandbox: StripeSandbox, time: Simulation, arrivals: dict[str, list[int]]) -> None:
        super().__init__(sandbox)
        self._time = time
        self._arrivals = arrivals

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        self._time.wait(ANSWERS_US)
        self._arrivals[endpoint(method, urlsplit(url).path)].append(self._time.now())
        return super().request(method, url, headers, post_data)


class Month:
    """Finalized invoices, one an account, that wait to be sent."""

    def __init__(self, engine: sa.Engine, quantity: int, *, processes: int = 1) -> None:
        self.engine = engine
        self.time = Simulation(NOVEMBER_2, processes)
        self.sandbox = StripeSandbox(clock=lambda: self.time.now() // SECOND_US, log_limit=10)
        self.arrivals: dict[str, list[int]] = defaultdict(list)
        self.world = World(engine)
        with writing(engine) as connection:
            for place in range(quantity):
                _finalized(connection, f"account-{place:05d}")

    def service(self) -> Service:
        """A process: its own connections, its own part of the rate."""
        own = make_engine(self.engine.url.render_as_string(hide_password=False))
        gateway = StripeGateway(
            TEST_KEY,
            wire=TimedWire(self.sandbox, self.time, self.arrivals),
            pace=Pace(StoredRate(own), self.time.now, self.time.wait),
        )
        return replace(
            self.world.service,
            engine=own,
            store=SqlEventStore(own),
            now=self.time.now,
            gateway=gateway,
            pause=lambda: self.time.wait(SECOND_US),
        )

    def seconds(self) -> float:
        return (self.time.now() - NOVEMBER_2) / SECOND_US

    def assert_below_limits(self) -> None:
        for called, instants in self.arrivals.items():
            assert _most(instants) <= 25, called
        assert _most(sorted(at for each in self.arrivals.values() for at in each)) <= 100


def _most(instants: list[int]) -> int:
    """The most calls within any second, [t, t + 1 s)."""
    most, first = 0, 0
    for place, instant in enumerate(instants):
        while instants[first] <= instant - SECOND_US:
            first += 1
        most = max(most, place - first + 1)
    return most


def _finalized(connection: sa.Connection, account: str) -> None:
    """An account, and its invoice of October as a billing run leaves it."""
    accounts.add(connection, Account(account, account, "", "USD", OCTOBER, NOVEMBER_2, None, Terms()))
    lines = tuple(
        Line(LineKind.USAGE, f"Task runs, bracket {place}", 100, Decimal(1), Decimal(100), 10_000)
        for place in range(3)
    )
    invoice = Invoice(
        id=f"inv-{account}",
        account=account,
        kind="usage",
        month=OCTOBER,
        number=None,
        status="finalized",
        currency="USD",
        plan="starter@2021-02",
        rule_version="1",
        run_id=None,
        cutoff=None,
        cutoff_at=None,
        billable=300,
        not_billed={},
        usage_by_day={},
        run_list_sha256=None,
        lines=lines,
        total=30_000,
        amount_paid=0,
        created_at=NOVEMBER_2,
        issued_at=NOVEMBER_2,
    )
    assert invoices.save(connection, invoice)
    invoices.give_number(connection, invoice)
    outbox.add(connection, invoice.id, NOVEMBER_2)


def test_a_month_from_one_process(sqlite_databases: NewDatabase) -> None:
    """Six calls an invoice of a new customer, close to what is allowed, and few invoices in memory."""
    month = Month(sqlite_databases(), INVOICES)
    seen: list[tuple[int, int]] = []
    held: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done % 100 == 99:
            held.append(sum(isinstance(each, Invoice) for each in gc.get_objects()))

    service = month.service()
    assert service.gateway is not None
    delivery = send_due(service.engine, service.gateway, service.now, progress=progress)
    assert len(delivery.sent) == INVOICES
    assert seen == [(done, INVOICES) for done in range(INVOICES + 1)]
    assert max(held) <= 3
    month.assert_below_limits()
    assert sum(len(each) for each in month.arrivals.values()) == 6 * INVOICES
    assert_at_rest(month.engine, month.sandbox, done=True)
    # Eighty calls a second for one process, after a moment in which it learns that it needs them.
    assert month.seconds() < 6 * INVOICES / 80 + 5


def test_a_month_from_four_processes_at_once(sqlite_databases: NewDatabase) -> None:
    month = Month(sqlite_databases(), INVOICES, processes=4)
    shares: list[int] = []

    def work() -> None:
        service = month.service()
        shares.append(len(service.send_due().sent))
        month.time.leave()
        service.engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    month.assert_below_limits()
    assert_at_rest(month.engine, month.sandbox, done=True)
    assert sum(shares) == INVOICES
    assert min(shares) > 0


def test_a_month_that_is_killed_goes_on_where_it_was(sqlite_databases: NewDatabase) -> None:
    month = Month(sqlite_databases(), INVOICES // 4)
    kills, step = 0, 90
    while True:
        service = month.service()
        kill = KillAt(step)
        kill.listen(service.engine)
        gateway: Any = MortalGateway(service.gateway, kill)  # type: ignore[arg-type]
        mortal = replace(service, gateway=gateway)
        with contextlib.suppress(Killed):
            mortal.send_due()
        service.engine.dispose()
        if not kill.reached:
            break
        kills, step = kills + 1, step * 2
        month.time.wait(CLAIM_US)
    assert kills >= 3
    month.assert_below_limits()
    assert_at_rest(month.engine, month.sandbox, done=True)


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
    assert _most([at for at, _ in made]) <= SHARES < 25
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
    month = Month(sqlite_databases(), 2)
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
