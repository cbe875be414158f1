"""Accounts billed by the hundred get the invoices that each would get alone; whatever else happens to one of
them, to the whole batch, or to the process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing import accounts as operations
from billing import closing, contracts, credits, grandfathering, programs, voids
from billing.audit.trail import changing
from billing.billing_batch import bill_batch, finalize_many
from billing.billing_month import Computed
from billing.billing_run import compute
from billing.errors import BillingError
from billing.invoices import list_invoices
from billing.month_readers import Asked, MonthReaders
from billing.pricing.contract import Contract, Grant, Instalments
from billing.reporting.proof import verify
from billing.repository import accounts, plans, runs
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from billing.run_report import report_of
from metering.database import reading, writing
from metering.period import Month
from tests.conftest import NewDatabase
from tests.events import event
from tests.events import runs as events
from tests.examples import share
from tests.world import OCTOBER, World

MONTHS = [Month(2026, number) for number in (8, 9, 10)]
NAMES = ["a", "b", "c", "d"]

_days = st.builds(date, st.just(2026), st.sampled_from([8, 9, 10]), st.sampled_from([1, 10, 28]))
_deeds = st.one_of(
    st.tuples(st.just("use"), _days, st.integers(1, 40)),
    st.tuples(st.just("use"), _days, st.integers(1, 40)),
    st.tuples(st.just("fail"), _days, st.integers(1, 5)),
    st.tuples(st.just("reverse"), _days, st.integers(1, 20)),
    st.tuples(st.just("credit"), st.integers(1, 150)),
    st.tuples(st.just("program"), st.sampled_from(["50", "33.3333", "100"]), _days),
    st.tuples(st.just("protect"), st.integers(0, 120), st.sampled_from(MONTHS)),
    st.tuples(st.just("plan"), st.sampled_from(["dime", "dollar"]), st.sampled_from(MONTHS)),
    st.tuples(st.just("contract"), st.integers(1, 60)),
    st.tuples(st.just("void"), st.sampled_from(MONTHS)),
    st.tuples(st.just("early")),
    st.tuples(st.just("close"), _days),
)
_stories = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), _deeds), max_size=10),
    min_size=len(MONTHS),
    max_size=len(MONTHS),
)
PLANS = """[{"plan": "dime", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": 5, "unit_price": "0"}, {"up_to": null, "unit_price": "0.10"}]},
   {"plan": "dollar", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": null, "unit_price": "1"}]}]"""


class Deeds:
    """What happens to accounts; what is refused does not happen."""

    def __init__(self, world: World) -> None:
        self.world, self.engine = world, world.engine
        self._sent = 0

    def do(self, name: str, deed: str, *values: Any) -> None:
        with contextlib.suppress(BillingError):
            getattr(self, deed)(name, *values)

    def use(self, name: str, day: date, quantity: int, state: str = "COMPLETED") -> None:
        self._sent += 1
        uuid = name in "ab"  # the others have ids of their own
        sent = [
            event(
                f"{self._sent:08x}-0000-7000-8000-{number:012x}" if uuid else f"{self._sent}-{number}",
                account=name,
                state=state,
                end=f"{day}T12:00:05Z",
            )
            for number in range(quantity)
        ]
        self.world.send(sent)
        self.last = sent

    def fail(self, name: str, day: date, quantity: int) -> None:
        self.use(name, day, quantity, "FAILED")

    def reverse(self, name: str, day: date, quantity: int) -> None:
        self.use(name, day, quantity)
        self.world.send(
            [
                event(each.task_run_id, account=name, state="ROLLED_BACK", end=f"{day}T13:00:05Z")
                for each in self.last[::2]
            ]
        )

    def credit(self, name: str, cents: int) -> None:
        amount = f"{cents // 100}.{cents % 100:02d}"
        credits.add_credit(self.engine, name, amount, "goodwill", by="test", now=self.world.instant)

    def program(self, name: str, percent: str, day: date) -> None:
        programs.apply_program(
            self.engine, name, "academia", percent=percent, until=date(2027, 1, 1), starts_on=day,
            by="test", now=self.world.instant, amend=True,
        )  # fmt: skip

    def protect(self, name: str, cents: int, month: Month) -> None:
        charge = f"{cents // 100}.{cents % 100:02d}"
        grandfathering.protect(
            self.engine, name, charge, date(2027, 1, 1), from_month=month, now=self.world.instant, by="test",
            amend=True,
        )  # fmt: skip

    def plan(self, name: str, plan: str, month: Month) -> None:
        operations.set_plan(self.engine, name, plan, month, now=self.world.instant, amend=True)

    def contract(self, name: str, quantity: int) -> None:
        grant = Grant("g", quantity, 0, date(2026, 9, 1), date(2027, 9, 1))
        term = (date(2026, 9, 1), date(2027, 9, 1))
        made = Contract(f"of-{name}", name, *term, "dime@1", "USD", Instalments.UPFRONT, (grant,))
        contracts.add_contract(self.engine, made, by="test", now=self.world.instant, amend=True)

    def void(self, name: str, month: Month) -> None:
        for each in list_invoices(self.engine, account=name, month=month):
            voids.void_invoice(self.engine, each.id, "a mistake", by="test", now=self.world.instant)

    def early(self, name: str) -> None:
        for month in MONTHS:
            self.world.service.run_month(month, account=name, early=True)

    def close(self, name: str, day: date) -> None:
        closing.close_account(
            self.engine, self.world.store, name, on=day, by="test", reason="", now=self.world.instant
        )


def _alone(world: World, month: Month) -> dict[str, Invoice | str | None]:
    """What each account's invoice comes to, alone; or why there is none."""
    cutoff = world.store.cutoff()
    run = BillingRun("run", month, None, False, cutoff.position, cutoff.committed_at, world.instant)
    with reading(world.engine) as connection:
        catalogue = plans.catalogue(connection)
    found: dict[str, Invoice | str | None] = {}
    for name in NAMES:
        try:
            found[name] = compute(world.engine, world.store, run, name, catalogue, world.instant).invoice
        except BillingError as error:
            found[name] = str(error)
    return found


def _same(invoice: Invoice) -> Invoice:
    """Without what depends on when it was made."""
    return replace(invoice, id="", run_id="", number=None, entry=None)


def _tell(engine: sa.Engine, story: list[Any]) -> None:
    world = World(engine)
    from billing.plans import load_plan_text

    load_plan_text(engine, PLANS, "plans.json", world.instant)
    for name in NAMES:
        world.account(name, plan="dime", since=str(MONTHS[0]))
    deeds = Deeds(world)
    for month, happens in zip(MONTHS, story, strict=True):
        for name, (deed, *values) in happens:
            deeds.do(name, deed, *values)
        expected = _alone(world, month)
        report = world.service.run_month(month)
        messages = {name: why for name, why in expected.items() if isinstance(why, str)}
        assert dict(report.failed).items() <= messages.items()
        made = {each.account: each for each in report.invoices if each.run_id == report.id}
        for name, invoice in expected.items():
            if isinstance(invoice, Invoice):
                assert _same(made[name]) == _same(invoice)
            else:
                assert name not in made
    for invoice in list_invoices(engine):
        found = verify(engine, world.store, invoice.id)
        assert invoice.status == "draft" or found.ok, found.to_data()
    assert_no_gaps(engine)


def assert_no_gaps(engine: sa.Engine) -> None:
    numbers: dict[Month, list[str]] = {}
    for invoice in list_invoices(engine):
        if invoice.number is not None:
            numbers.setdefault(invoice.month, []).append(invoice.number)
    for month, taken in numbers.items():
        assert sorted(taken) == [f"{month}-{place:06d}" for place in range(1, len(taken) + 1)]


@share(10)
@given(_stories)
def test_a_batch_is_billed_as_each_alone(sqlite_databases: Callable[[], sa.Engine], story: list[Any]) -> None:
    engine = sqlite_databases()
    _tell(engine, story)
    engine.dispose()


@share(2)
@given(_stories)
def test_a_batch_is_billed_as_each_alone_on_postgres(
    postgres_databases: Callable[[], sa.Engine], story: list[Any]
) -> None:
    engine = postgres_databases()
    _tell(engine, story)
    engine.dispose()


class Read:
    """A batch that was read, and waits to be billed."""

    def __init__(self, world: World) -> None:
        self.world = world
        cutoff = world.store.cutoff()
        self.run = BillingRun(
            "run", OCTOBER, None, False, cutoff.position, cutoff.committed_at, world.instant
        )
        started = changing(world.engine, "billing_run.started", "billing_run", "run", now=world.instant)
        with started as connection:
            runs.start_or_resume(connection, self.run)
        with reading(world.engine) as connection:
            asked = Asked(self.run, plans.catalogue(connection), world.instant)
        (self.batch,) = MonthReaders(world.engine, world.store).batches(asked, NAMES)
        self.report = report_of(world.engine, self.run)

    def bill(self) -> list[str]:
        return bill_batch(self.world.engine, self.run, self.batch, self.world.instant, self.report)

    def rest(self) -> None:
        """The run goes on, and bills the others alone."""
        assert self.world.service.run_month(OCTOBER).failed == []
        assert [each.account for each in _by_account(self.world)] == NAMES
        assert_no_gaps(self.world.engine)


def _by_account(world: World) -> list[Invoice]:
    return sorted(world.service.run_month(OCTOBER).invoices, key=lambda invoice: invoice.account)


@pytest.fixture
def world(engine: sa.Engine) -> World:
    world = World(engine)
    for name in NAMES:
        world.account(name)
        world.send(events(10_400, account=name))
    return world


def test_an_account_whose_books_changed_is_left_to_be_billed_alone(world: World) -> None:
    read = Read(world)
    credits.add_credit(world.engine, "b", "0.40", "goodwill", by="test", now=world.instant)
    assert read.bill() == ["b"]
    assert read.report.finalized == 3
    read.rest()
    assert [each.total for each in _by_account(world)] == [100, 60, 100, 100]


def test_a_draft_that_comes_up_meanwhile_undoes_the_whole_batch(world: World) -> None:
    read = Read(world)
    world.service.run_month(OCTOBER, account="c", early=True)
    assert sorted(read.bill()) == NAMES
    assert [each.status for each in list_invoices(world.engine)] == ["draft"]
    read.rest()


def test_drafts_are_replaced(world: World) -> None:
    world.service.run_month(OCTOBER, early=True)
    drafts = {each.id for each in list_invoices(world.engine)}
    read = Read(world)
    assert read.bill() == []
    assert {each.id for each in _by_account(world)} == drafts
    read.rest()


def test_an_account_that_somebody_writes_to_is_not_waited_for(postgres_databases: NewDatabase) -> None:
    """Who holds the locks of a batch and waits for one more may wait for somebody who waits for the batch."""
    engine = postgres_databases()
    world = World(engine)
    for name in NAMES:
        world.account(name)
        world.send(events(3, account=name))
    read = Read(world)
    with writing(engine) as other:
        accounts.next_entry(other, "c")
        assert read.bill() == ["c"]
    read.rest()
    engine.dispose()


@pytest.mark.behind_the_back
def test_a_batch_whose_invoices_cannot_be_stored_leaves_nothing(world: World) -> None:
    """Such as one of an account with a live invoice already, of the same books."""
    read = Read(world)
    assert read.bill() == []
    made = list_invoices(world.engine)
    again = {
        each.account: Computed(replace(each, id=f"{each.id}-2", number=None), None, each.entry or 0)
        for each in made
    }
    with pytest.raises(sa.exc.IntegrityError):
        finalize_many(world.engine, again, world.instant)
    assert list_invoices(world.engine) == made
