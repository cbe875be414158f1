"""A month of many invoices between our books and the sandbox, in simulated time: when each request arrived
there, and that no second saw more of them than Stripe takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing.app import Service
from billing.payments.rate import Pace
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, StripeSandbox
from billing.plans import load_plan_text
from billing.pricing.line import Line, LineKind
from billing.pricing.terms import Terms
from billing.repository import accounts, invoices, outbox
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.rate import StoredRate
from metering.database import make_engine, writing
from metering.period import SECOND_US
from metering.store.sql import SqlEventStore
from tests.events import event
from tests.faults.in_process import Wire
from tests.faults.simulation import Simulation
from tests.world import NOVEMBER_2, OCTOBER, World

# How long Stripe takes to answer: so little that the limits are met.
ANSWERS_US = 2_000
# Three lines on an invoice of three runs.
THREE_BRACKETS = """{"plan": "three", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": 1, "unit_price": "1"}, {"up_to": 2, "unit_price": "2"},
                 {"up_to": null, "unit_price": "3"}]}"""


@dataclass
class Arrivals:
    """The instants at which requests arrived, by the route that the sandbox logged."""

    by_route: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        return sum(len(each) for each in self.by_route.values())

    def assert_below_limits(self) -> None:
        """At most 25 of an endpoint and 100 overall, within any second."""
        for route, instants in self.by_route.items():
            assert most_in_a_second(instants) <= 25, route
        assert most_in_a_second(sorted(at for each in self.by_route.values() for at in each)) <= 100


def most_in_a_second(instants: list[int]) -> int:
    """The most within any second, [t, t + 1 s)."""
    most, first = 0, 0
    for place, instant in enumerate(instants):
        while instants[first] <= instant - SECOND_US:
            first += 1
        most = max(most, place - first + 1)
    return most


class TimedWire(Wire):
    """Each call takes a moment. When it arrived is kept with what the sandbox's log says of it."""

    def __init__(self, sandbox: StripeSandbox, time: Simulation, arrivals: Arrivals) -> None:
        super().__init__(sandbox)
        self._log = sandbox.log
        self._time = time
        self._arrivals = arrivals

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        self._time.wait(ANSWERS_US)
        now = self._time.now()
        answer = super().request(method, url, headers, post_data)
        logged = self._log[-1]
        assert (logged.method, logged.at) == (method.upper(), now // SECOND_US)
        self._arrivals.by_route[f"{logged.method} {logged.route}"].append(now)
        return answer


class Month:
    """Accounts with one invoice each: to be billed from their task runs (`meter`), or finalized and waiting
    to be sent (`finalize`)."""

    def __init__(self, engine: sa.Engine, *, processes: int = 1) -> None:
        self.engine = engine
        self.time = Simulation(NOVEMBER_2, processes)
        self.sandbox = StripeSandbox(clock=lambda: self.time.now() // SECOND_US, log_limit=10)
        self.arrivals = Arrivals()
        self.world = World(engine)
        load_plan_text(engine, THREE_BRACKETS, "three.json", NOVEMBER_2)

    def meter(self, quantity: int) -> Month:
        for place in range(quantity):
            name = f"account-{place:05d}"
            self.world.account(name, plan="three", since="2026-10")
            self.world.send([event(f"run-{each}", account=name) for each in "abc"])
        return self

    def finalize(self, quantity: int) -> Month:
        names = [f"account-{place:05d}" for place in range(quantity)]
        with writing(self.engine) as connection:
            for name in names:
                _finalized(connection, name)
        self.world.send([event(account=name) for name in names])
        return self

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
    outbox.add(connection, NOVEMBER_2, invoice.id)
