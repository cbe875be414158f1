"""Whole timelines of an account, on the real service and in `naive_books`, which shares nothing with it: runs
that come late, are reversed or move; grants, programs, protection and plans amended; credit; voids and credit
notes; months run once, twice and again. Both must say the same at every step, to the cent and to the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from hypothesis import event, given
from hypothesis import strategies as st

from billing import accounts, contracts, credits, grandfathering, plans, programs
from billing.credit_notes import credit_note
from billing.errors import Refused
from billing.pricing import contract as pricing
from billing.pricing.line import LineKind
from billing.repository import contracts as contract_rows
from billing.repository.invoices import Invoice
from billing.run_balance import record_contract_runs
from billing.voids import void_invoice
from metering.database import reading
from metering.outcome import Outcome
from metering.period import Month
from tests.examples import share
from tests.properties.naive_books import PLANS, Contract, Grant, NaiveBooks, first_of
from tests.scenarios.audit import check_credit_ledger, check_run_ledger
from tests.scenarios.office import Office, QuantityFeed, hurried

JANUARY = Month(2026, 1)
MONTHS = [Month(2026, number) for number in range(1, 6)]
DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(151)]  # to 31 May
AFTER = date(2026, 7, 2)

days = st.sampled_from(DAYS)
# Most things happen around a few days, so that they meet.
busy = st.sampled_from([day for day in DAYS if day.day in (1, 10, 28)]) | days
months = st.sampled_from(MONTHS)

steps = st.one_of(
    st.tuples(st.just("use"), busy, st.integers(1, 40)),
    st.tuples(st.just("use"), busy, st.integers(1, 40)),
    st.tuples(st.just("reverse"), busy, st.integers(1, 30)),
    st.tuples(st.just("move"), busy, busy, st.integers(1, 30)),
    st.tuples(st.just("credit"), st.integers(1, 150)),
    st.tuples(st.just("grant"), st.integers(1, 60), busy, busy),
    st.tuples(st.just("program"), st.sampled_from(["50", "33.3333", "100", "12.5"]), busy, busy),
    st.tuples(st.just("protect"), st.integers(0, 120), months, busy),
    st.tuples(st.just("plan"), st.sampled_from(sorted(PLANS)), months),
    st.tuples(st.just("void"), months),
    st.tuples(st.just("void"), months),
    st.tuples(st.just("note"), months, st.integers(1, 60)),
    st.tuples(st.just("run"), months),
    st.tuples(st.just("run"), months),
    st.tuples(st.just("early"), months),
)
# A month after the other: some runs on its 10th, whatever else happens, and its billing run.
timelines = st.lists(
    st.tuples(st.integers(0, 90), st.lists(steps, max_size=6)), min_size=len(MONTHS), max_size=len(MONTHS)
)
terms = st.none() | st.tuples(st.integers(0, 3), st.integers(1, 5), st.sampled_from(sorted(PLANS)))


@dataclass
class Twins:
    """The same account twice."""

    office: Office
    naive: NaiveBooks = field(default_factory=NaiveBooks)

    def begin(self, contract: tuple[int, int, str] | None) -> None:
        engine, now = self.office.engine, self.office.now
        for plan, schedule in PLANS.items():
            plans.load_plan_text(engine, _plan_file(plan, schedule), "plan.json", now)
        accounts.add_account(engine, "acme", now=now, currency="USD", plan="tiny@1", billing_from=JANUARY)
        self.naive.enrolments.append((JANUARY, "tiny@1"))
        if contract is not None:
            first, length, plan = contract
            start, end = date(2026, 1 + first, 1), date(2026, 1 + first + length, 1)
            made = pricing.Contract("c", "acme", start, end, plan, "USD", pricing.Instalments.UPFRONT)
            contracts.add_contract(engine, made, by="test", now=now)
            self.naive.contract = Contract(start, end, plan)

    # What happens. Each does it to both.

    def use(self, day: date, quantity: int) -> None:
        self.office.send(self.office.sender("acme").new(quantity, day))
        self.naive.usage[day] += quantity

    def reverse(self, day: date, quantity: int) -> None:
        quantity = min(quantity, self.naive.usage[day])
        sender = self.office.sender("acme")
        self.office.send(sender.again(quantity, day, Outcome.BILLABLE, to=Outcome.REVERSED, to_day=day))
        self.naive.usage[day] -= quantity

    def move(self, one: date, other: date, quantity: int) -> None:
        to, day = sorted((one, other))
        quantity = min(quantity, self.naive.usage[day])
        sender = self.office.sender("acme")
        self.office.send(sender.again(quantity, day, Outcome.BILLABLE, to=Outcome.BILLABLE, to_day=to))
        self.naive.usage[day] -= quantity
        self.naive.usage[to] += quantity

    def credit(self, cents: int) -> None:
        amount = f"{cents // 100}.{cents % 100:02d}"
        credits.add_credit(self.office.engine, "acme", amount, "goodwill", by="test", now=self.office.now)
        self.naive.credit.append(cents)

    def grant(self, runs: int, one: date, other: date) -> None:
        held = self.naive.contract
        if held is None:
            return
        first, last = (min(max(day, held.start), held.end) for day in sorted((one, other)))
        if first == last:
            return
        id = f"g{len(held.grants)}"
        held.grants.append(Grant(id, runs, first, last))
        contracts.add_grant(
            self.office.engine,
            "c",
            runs,
            "1.00",
            first,
            expires_on=last,
            grant_id=id,
            by="test",
            now=self.office.now,
            amend=True,
        )

    def program(self, percent: str, one: date, other: date) -> None:
        first, last = sorted((one, other))
        last += timedelta(days=1)
        programs.apply_program(
            self.office.engine,
            "acme",
            "academia",
            percent=percent,
            until=last,
            starts_on=first,
            by="test",
            now=self.office.now,
            amend=True,
        )
        self.naive.programs.append((Fraction(Decimal(percent)), first, last))

    def protect(self, cents: int, since: Month, until: date) -> None:
        if until <= first_of(since):
            return
        charge = f"{cents // 100}.{cents % 100:02d}"
        grandfathering.protect(
            self.office.engine,
            "acme",
            charge,
            until,
            from_month=since,
            now=self.office.now,
            by="test",
            amend=True,
        )
        self.naive.protections.append((since, cents, until))

    def plan(self, plan: str, since: Month) -> None:
        try:
            accounts.set_plan(self.office.engine, "acme", plan, since, now=self.office.now, amend=True)
        except Refused:
            assert self.naive.contract is not None and self.naive.contract.covers(since)
        else:
            assert self.naive.contract is None or not self.naive.contract.covers(since)
            self.naive.enrolments.append((since, plan))

    def void(self, month: Month) -> None:
        if month not in self.naive.live:
            return
        try:
            invoice = self.live(month)
            void_invoice(self.office.engine, invoice.id, "a mistake", by="test", now=self.office.now)
        except Refused:
            assert not self.naive.may_void(month)
        else:
            assert self.naive.may_void(month)
            self.naive.void(month)
            event("voided")

    def note(self, month: Month, cents: int) -> None:
        held = self.naive.live.get(month)
        if held is None or held.total < held.notes + cents:
            return
        amount, invoice = f"{cents // 100}.{cents % 100:02d}", self.live(month)
        credit_note(self.office.engine, invoice.id, amount, "usage", "less", by="test", now=self.office.now)
        held.notes += cents

    def early(self, month: Month) -> None:
        """Drafts decide nothing."""
        self.office.service.run_month(month, early=True)

    def run(self, month: Month) -> None:
        report = self.office.service.run_month(month)
        if month in self.naive.live:
            assert report.finalized == 0, "a month is billed once"
        elif any(self.waits(each) for each in MONTHS if each < month):
            assert report.finalized == 0
            assert report.failed or not self.has_runs(month), "an earlier month waits"
        else:
            expected = self.naive.run(month, any_runs=self.has_runs(month))
            assert report.failed == []
            assert report.finalized == (0 if expected is None else 1)
            if expected is not None:
                self.ever.add(month)
                event(f"{len(expected.adjustments)} adjustments")
                for kind in {line.kind for line in self.live(month).lines}:
                    event(kind)
                self.compare(month)

    ever: set[Month] = field(default_factory=set)

    def waits(self, month: Month) -> bool:
        """Whether a month has task runs and was never run."""
        return month not in self.ever and self.has_runs(month)

    def has_runs(self, month: Month) -> bool:
        """Reversed ones count too: they are on the invoice."""
        return self.office.store.usage("acme", month.start, month.end).counts.total > 0

    # What is seen.

    def live(self, month: Month) -> Invoice:
        invoice = self.office.live("acme", month)
        assert invoice is not None
        return invoice

    def compare(self, month: Month) -> None:
        invoice, expected = self.live(month), self.naive.live[month]
        cost = expected.cost
        covered = self.naive.contract is not None and self.naive.contract.covers(month)
        assert _amounts(invoice, LineKind.ON_DEMAND if covered else LineKind.USAGE) == cost.brackets
        assert _amounts(invoice, LineKind.USAGE if covered else LineKind.ON_DEMAND) == []
        assert sum(c for _, c in _amounts(invoice, LineKind.PROGRAM_DISCOUNT)) == cost.discount
        assert sum(c for _, c in _amounts(invoice, LineKind.PRICE_PROTECTION)) == cost.protection
        adjusted = [line for line in invoice.lines if line.kind is LineKind.ADJUSTMENT]
        assert [(line.month, line.quantity, line.amount) for line in adjusted] == [
            (of, runs, cents) for of, (runs, cents) in expected.adjustments.items()
        ]
        assert [-c for _, c in _amounts(invoice, LineKind.CREDIT)] == [c for _, c in expected.credit]
        assert sum(c for _, c in _amounts(invoice, LineKind.CARRIED)) == expected.carried
        assert invoice.total == expected.total
        assert invoice.billable == cost.rated + cost.drawn
        assert invoice.drawn == (cost.drawn if covered else None)

    def look(self) -> None:
        shown = credits.show_credit(self.office.engine, "acme")
        assert shown["balance"] == sum(self.naive.credit)

    def end(self) -> None:
        """Everything is run once more, void months too."""
        for month in [*MONTHS, Month(2026, 6)]:
            self.run(month)
        self.settle()

    def settle(self) -> None:
        """A last month corrects whatever is left to correct: then each month has been billed what it costs,
        and all documents verify."""
        last = Month(2026, 7)
        self.office.open(date(2026, 9, 2))
        self.office.send(self.office.sender("acme").new(1, date(2026, 7, 1)))
        self.naive.usage[date(2026, 7, 1)] += 1
        self.run(last)
        made = self.office.all_invoices()
        for month in self.naive.live:
            assert self.billed(month, made) == self.naive.cost(month).amount
            self.compare(month)
        for invoice in made:
            if invoice.status != "draft":
                assert self.office.verified(invoice), invoice.number
        check_credit_ledger(self.office, "acme", made)
        if self.naive.contract is not None:
            self.check_runs(self.naive.contract)

    def check_runs(self, held: Contract) -> None:
        check_run_ledger(self.office, "c")
        record_contract_runs(self.office.engine, self.office.store, "c", self.office.now)
        with reading(self.office.engine) as connection:
            entries = contract_rows.ledger(connection, "c")
        for day in (held.start, DAYS[40], DAYS[-1], held.end - timedelta(days=1), held.end):
            booked = sum(entry.quantity for entry in entries if entry.effective_on <= day)
            assert booked == (self.naive.balance(day) if held.start <= day < held.end else booked) >= 0

    def billed(self, month: Month, made: list[Invoice]) -> int:
        """What live documents billed for a month, from the stored lines."""
        kinds = {LineKind.USAGE, LineKind.ON_DEMAND, LineKind.PROGRAM_DISCOUNT, LineKind.PRICE_PROTECTION}
        return sum(
            line.amount
            for invoice in made
            if invoice.status not in ("void", "draft")
            for line in invoice.lines
            if (line.kind in kinds and invoice.month == month) or line.month == month
        ) - (self.naive.live[month].notes if month in self.naive.live else 0)


def _amounts(invoice: Invoice, kind: LineKind) -> list[tuple[int, int]]:
    return [(line.quantity, line.amount) for line in invoice.lines if line.kind is kind]


def _plan_file(plan: str, schedule: Any) -> str:
    name, _, version = plan.partition("@")
    brackets = [
        {"up_to": up_to, "unit_price": str(Decimal(price.numerator) / price.denominator)}
        for up_to, price in schedule
    ]
    data = {"plan": name, "version": version, "effective_from": "2021-01-01", "currency": "USD"}
    return json.dumps(data | {"brackets": brackets})


@share(40)
@given(terms, timelines)
def test_a_timeline_comes_to_what_the_rules_say(
    sqlite_databases: Callable[[], sa.Engine], contract: tuple[int, int, str] | None, story: list[Any]
) -> None:
    engine = sqlite_databases()
    hurried(engine)
    twins = Twins(Office(engine, QuantityFeed()))
    twins.office.open(AFTER)
    twins.begin(contract)
    for month, (runs, changes) in zip(MONTHS, story, strict=True):
        twins.use(first_of(month) + timedelta(days=9), runs)
        for what, *values in changes:
            getattr(twins, what)(*values)
            twins.look()
        twins.run(month)
    twins.end()
    engine.dispose()
