"""Whatever happens in whatever order: late events, reversals, runs, voids, months issued again, credit notes:
after each run, what live documents billed for its month and earlier ones comes to what those cost, and no
cent is lost or made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from billing.credit_notes import credit_note
from billing.credits import add_credit, show_credit
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
from tests.examples import share
from tests.world import OCTOBER, World

MONTHS = [OCTOBER, OCTOBER.next(), OCTOBER.next().next()]
# A last month, whose run adjusts all others.
LAST = MONTHS[-1].next()

_MONTH = st.integers(0, 2)
# What may come between one month's first run and the next one's.
BETWEEN = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), _MONTH, st.integers(1, 5)),
        st.tuples(st.just("reverse"), _MONTH, st.integers(1, 5)),
        st.tuples(st.just("move"), _MONTH, _MONTH),
        st.tuples(st.just("void"), _MONTH, st.just(0)),
        st.tuples(st.just("run"), _MONTH, st.just(0)),
        st.tuples(st.sampled_from(["usage", "goodwill"]), _MONTH, st.integers(1, 3)),
    ),
    max_size=6,
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
        self.run_month(MONTHS[place])

    def run_up_to(self, place: int, _: int = 0) -> None:
        for earlier in range(place + 1):
            self.run(earlier)

    def run_month(self, month: Month) -> None:
        """Where it issues an invoice, all is billed that the month and earlier ones cost."""
        if self.world.service.run_month(month).finalized:
            live = self.invoices()
            for invoice in live:
                if invoice.month <= month:
                    assert self.billed(invoice, live) == self.cost(invoice.month)

    def invoices(self) -> list[Invoice]:
        with reading(self.world.engine) as connection:
            return invoices.live_usage_invoices(connection, "acme")

    def billed(self, own: Invoice, live: list[Invoice]) -> int:
        """What live documents billed for the month of an invoice, in cents."""
        others = [line for invoice in live if invoice is not own for line in invoice.lines]
        return billed_for(own.month, own.lines, others, self.credited(own)).amount

    def credited(self, invoice: Invoice) -> int:
        with reading(self.world.engine) as connection:
            return credit_notes.usage_by_invoice(connection, "acme").get(invoice.id, 0)

    def cost(self, month: Month) -> int:
        return 100 * sum(each == month for each in self.live.values())

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


@share(25)
@given(st.tuples(BETWEEN, BETWEEN, BETWEEN), st.integers(0, 6))
def test_no_cent_is_lost(
    sqlite_databases: NewDatabase, between: tuple[list[tuple[str, int, int]], ...], gift: int
) -> None:
    world = dollars(sqlite_databases())
    world.instant = LAST.end + 24 * HOUR_US
    if gift:
        add_credit(world.engine, "acme", str(gift), "a gift", by="o", now=world.instant)
    history = History(world)
    for month, actions in enumerate(between):
        history.arrive(month, 2)
        history.run(month)
        for name, place, number in actions:
            act: Callable[[int, int], None] = getattr(history, name)
            act(min(place, month), number)
    # Everything is billed: what is missing or void, in order, then a month that adjusts all.
    history.run_up_to(len(MONTHS) - 1)
    history.run_month(LAST)

    live = history.invoices()
    billed = {invoice.month: history.billed(invoice, live) for invoice in live}
    assert {month: billed.get(month, 0) for month in MONTHS} == {
        month: history.cost(month) for month in MONTHS
    }
    balance = show_credit(world.engine, "acme")["balance"]
    assert isinstance(balance, int)
    assert balance >= 0
    credited = sum(history.credited(invoice) for invoice in live)
    owed = sum(invoice.total for invoice in live) - credited
    assert owed == sum(billed.values()) - (100 * gift - balance)
    with reading(world.engine) as connection:
        every = invoices.search(connection)
    for invoice in every:
        assert verify(world.engine, world.store, invoice.id).differences == ()
    for month in (*MONTHS, LAST):
        numbers = sorted(invoice.number or "" for invoice in every if invoice.month == month)
        assert numbers == [f"{month}-{place + 1:06d}" for place in range(len(numbers))]
