"""Whatever happens in whatever order: late events, reversals, runs, voids, months issued again, credit notes:
what live documents billed for a month comes to what it costs, and no cent is lost or made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.credit_notes import credit_note
from billing.credits import show_credit
from billing.errors import Refused
from billing.pricing.adjustment import billed_for
from billing.reporting.proof import verify
from billing.repository import credit_notes, invoices
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.database import reading
from metering.period import HOUR_US, Month
from tests.billing.months import dollars
from tests.conftest import NewDatabase
from tests.events import event
from tests.world import OCTOBER, World

MONTHS = [OCTOBER, OCTOBER.next(), OCTOBER.next().next()]
# A last month, whose run adjusts all others.
LAST = MONTHS[-1].next()

_MONTH = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(st.just("arrive"), _MONTH, st.integers(1, 5)),
    st.tuples(st.just("reverse"), _MONTH, st.integers(1, 5)),
    st.tuples(st.just("move"), _MONTH, _MONTH),
    st.tuples(st.just("run"), _MONTH, st.just(0)),
    st.tuples(st.just("void"), _MONTH, st.just(0)),
    st.tuples(st.sampled_from(["usage", "goodwill"]), _MONTH, st.integers(1, 3)),
)


@dataclass
class History:
    """A world, and how many events of each month it was sent."""

    world: World
    sent: int = 0
    live: dict[str, Month] = field(default_factory=dict)

    def arrive(self, place: int, quantity: int) -> None:
        for _ in range(quantity):
            self.sent += 1
            self._send(f"run-{self.sent}", MONTHS[place])

    def reverse(self, place: int, quantity: int) -> None:
        for run in [run for run, month in self.live.items() if month == MONTHS[place]][:quantity]:
            del self.live[run]
            self.world.send([event(run, state="ROLLED_BACK", end=f"{MONTHS[place]}-01T00:00:09Z")])

    def move(self, place: int, earlier: int) -> None:
        """A run turns out to have ended in an earlier month."""
        of_month = [run for run, month in self.live.items() if month == MONTHS[place]]
        if of_month and earlier < place:
            self._send(of_month[0], MONTHS[earlier])

    def run(self, place: int, _: int = 0) -> None:
        self.world.service.run_month(MONTHS[place])

    def void(self, place: int, _: int = 0) -> None:
        invoice = self.invoice(MONTHS[place])
        if invoice is not None:
            with suppress(Refused):  # its carried credit was spent
                void_invoice(self.world.engine, invoice.id, "why not", by="o", now=self.world.instant)

    def usage(self, place: int, dollars_: int) -> None:
        self._credit(place, dollars_, "usage")

    def goodwill(self, place: int, dollars_: int) -> None:
        self._credit(place, dollars_, "goodwill")

    def invoice(self, month: Month) -> Invoice | None:
        with reading(self.world.engine) as connection:
            return invoices.live_usage_invoice(connection, "acme", month)

    def _credit(self, place: int, dollars_: int, kind: str) -> None:
        invoice = self.invoice(MONTHS[place])
        if invoice is not None:
            with suppress(Refused):  # nothing is left to credit
                engine, now = self.world.engine, self.world.instant
                credit_note(engine, invoice.id, str(dollars_), kind, "sorry", by="o", now=now)

    def _send(self, run: str, month: Month) -> None:
        self.live[run] = month
        self.world.send([event(run, end=f"{month}-01T00:00:09Z")])


@settings(max_examples=60)
@given(st.lists(ACTIONS, min_size=1, max_size=14))
def test_no_cent_is_lost(sqlite_databases: NewDatabase, actions: list[tuple[str, int, int]]) -> None:
    world = dollars(sqlite_databases())
    world.instant = LAST.end + 24 * HOUR_US
    history = History(world)
    for name, place, number in actions:
        act: Callable[[int, int], None] = getattr(history, name)
        act(place, number)
    # Everything is billed: what is missing or void, in order, then a month that adjusts all.
    for place in range(len(MONTHS)):
        history.run(place)
    world.service.run_month(LAST)

    with reading(world.engine) as connection:
        live = invoices.live_usage_invoices(connection, "acme")
        usage_notes = credit_notes.usage_by_invoice(connection, "acme")
    cost = {month: 100 * sum(each == month for each in history.live.values()) for month in MONTHS}
    lines = [line for invoice in live for line in invoice.lines]
    for month in MONTHS:
        own = next((invoice for invoice in live if invoice.month == month), None)
        if own is None:
            assert cost[month] == 0
            continue
        others = [line for invoice in live if invoice is not own for line in invoice.lines]
        assert billed_for(month, own.lines, others, usage_notes.get(own.id, 0)).amount == cost[month]

    balance = show_credit(world.engine, "acme")["balance"]
    assert isinstance(balance, int)
    assert balance >= 0
    credited = sum(usage_notes.get(invoice.id, 0) for invoice in live)
    assert sum(invoice.total for invoice in live) - balance - credited == sum(cost.values())
    assert all(line.amount > 0 for line in lines if line.kind == "carried")
    with reading(world.engine) as connection:
        every = invoices.search(connection)
    for invoice in every:
        assert verify(world.engine, world.store, invoice.id).differences == ()
    numbers = sorted(invoice.number or "" for invoice in every)
    for month in (*MONTHS, LAST):
        of_month = [number for number in numbers if number.startswith(str(month))]
        assert of_month == [f"{month}-{place + 1:06d}" for place in range(len(of_month))]
