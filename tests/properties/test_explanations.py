"""Any invoice of any account is explained to the cent: random plans, usage, contracts, late runs, programs,
protection, credit and voids; every calculation is done again from its own numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from billing.explaining.change import MonthBill, change
from billing.explaining.draws import month_draws
from billing.explaining.explanation import Explanation
from billing.explaining.facts import facts_of
from billing.explaining.lines import explain_contract, explain_lines
from billing.explaining.rated_lines import bracket_rows
from billing.pricing.books import Books, Issued, month_basis
from billing.pricing.catalogue import Bracket, Catalogue, PlanVersion
from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.contract_invoice import due_lines
from billing.pricing.credit import Credit
from billing.pricing.invoice import Document, compose
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.terms import Change, Enrolment, NewPlan, Protection, terms_of
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts
from tests.recomputed import check

MONTHS = [Month(2026, number) for number in range(1, 6)]
STEPS = {"USD": 1, "JPY": 1, "ISK": 100}

months = st.sampled_from(MONTHS)
days = st.builds(date, st.just(2026), st.integers(1, 5), st.integers(1, 28))
quantities = st.integers(0, 400)


@st.composite
def schedules(draw: st.DrawFn, name: str, code: str) -> PlanVersion:
    """Up to four brackets of any prices, free ones anywhere, prices that fall and rise."""
    bounds = sorted(draw(st.sets(st.integers(1, 600), max_size=3)))
    prices = st.integers(0, 40_000).map(lambda number: Decimal(number).scaleb(-4)) | st.just(Decimal(0))
    brackets = tuple(Bracket(bound, draw(prices)) for bound in (*bounds, None))
    return PlanVersion("plan", name, date(2021, 1, 1), code, None, brackets)


@st.composite
def contracts(draw: st.DrawFn, code: str) -> Contract:
    first = draw(st.integers(1, 5))
    start, end = date(2026, first, 1), date(2026, draw(st.integers(first + 1, 6)), 1)
    inside = st.dates(start, end)
    grants = []
    for place in range(draw(st.integers(0, 3))):
        one, other = sorted(draw(st.lists(inside, min_size=2, max_size=2, unique=True)))
        price = draw(st.integers(0, 1000)) * STEPS[code]
        grants.append(Grant(f"g{place}", draw(st.integers(1, 500)), price, one, other))
    services = [
        Service(f"service {place}", draw(st.integers(0, 900)) * STEPS[code], draw(days))
        for place in range(draw(st.integers(0, 2)))
    ]
    return Contract(
        "c",
        "acme",
        start,
        end,
        "plan@a",
        code,
        draw(st.sampled_from(Instalments)),
        tuple(grants),
        tuple(services),
    )


@st.composite
def agreements(draw: st.DrawFn) -> tuple[str, Catalogue, list[Change]]:
    code = draw(st.sampled_from(sorted(STEPS)))
    catalogue = Catalogue([draw(schedules("a", code)), draw(schedules("b", code))])
    agreed: list[Change] = [Enrolment(MONTHS[0], "plan", "a")]
    if draw(st.booleans()):
        agreed.append(Enrolment(draw(months), "plan", draw(st.sampled_from("ab"))))
    if draw(st.booleans()):
        held = draw(contracts(code))
        agreed.append(held)
        if draw(st.booleans()):
            agreed.append(NewPlan("c", draw(st.sampled_from(held.months)), "plan@b"))
    for _ in range(draw(st.integers(0, 2))):
        one, other = sorted(draw(st.lists(days, min_size=2, max_size=2, unique=True)))
        percent = Decimal(draw(st.integers(1, 1_000_000))).scaleb(-4)
        agreed.append(Program(draw(st.sampled_from(ProgramName)), percent, one, other))
    if draw(st.booleans()):
        charge = draw(st.integers(0, 300)) * STEPS[code]
        agreed.insert(1, Protection(draw(months), PriceProtection(charge, draw(days))))
    return code, catalogue, agreed


@dataclass
class Account:
    """Keeps an account's books in memory, as billing runs do."""

    code: str
    catalogue: Catalogue
    books: Books
    usage: Counter[date] = field(default_factory=Counter)
    issued: dict[Month, tuple[Document, Issued]] = field(default_factory=dict)

    def held(self) -> Books:
        live = tuple(self.issued[month][1] for month in sorted(self.issued))
        return replace(self.books, issued=live)

    def run(self, month: Month) -> Explanation:
        held = self.held()
        counts = {day: Counts({Outcome.BILLABLE: runs}) for day, runs in self.usage.items() if runs}
        document = compose(month_basis(held, self.catalogue, month, counts))
        found = self.explained(held, document)
        self.issued[month] = document, Issued(month, document.lines)
        used = {each.id: each.amount for each in document.credits_used}
        left = [
            replace(each, amount=each.amount - used.get(each.id, 0))
            for each in self.books.credits
            if each.amount > used.get(each.id, 0)
        ]
        if document.carried:
            left.append(Credit(f"carried-{month}-{len(left)}", document.carried, month.end, "carried over"))
        self.books = replace(self.books, credits=tuple(left))
        return found

    def explained(self, held: Books, document: Document) -> Explanation:
        month = document.period
        version = self.catalogue.get(document.plan)
        drawn = None if document.contract is None else document.contract.drawn
        facts = facts_of(
            held,
            self.catalogue,
            month,
            plan=document.plan,
            billable=document.counts.billable,
            drawn=drawn,
            lines=document.lines,
            numbers={},
        )
        before = self.bill(month.previous())
        contract = held.terms.contract(month)
        now = MonthBill(month, document.counts.billable, drawn or 0, version, document.lines)
        return Explanation(
            {"kind": "usage", "currency": self.code, "billable": now.billable, "total": document.total},
            month,
            self.code,
            explain_lines(facts),
            bracket_rows(facts.rated, version),
            facts.rated,
            None if contract is None else contract.id,
            drawn,
            None if contract is None else month_draws(contract, month, self.usage),
            change(now, before, self.code),
        )

    def bill(self, month: Month) -> MonthBill | None:
        if month not in self.issued:
            return None
        document = self.issued[month][0]
        drawn = 0 if document.contract is None else document.contract.drawn
        version = self.catalogue.get(document.plan)
        return MonthBill(month, document.counts.billable, drawn, version, document.lines)


stories = st.lists(
    st.tuples(
        st.lists(st.tuples(days, quantities), max_size=4),
        st.lists(st.tuples(days, quantities), max_size=2),
        st.none() | st.tuples(months, st.integers(1, 300)),
        st.none() | months,
        st.integers(0, 500),
    ),
    min_size=len(MONTHS),
    max_size=len(MONTHS),
)


@given(agreements(), stories)
def test_every_line_is_recomputed_from_its_explanation(
    agreed: tuple[str, Catalogue, list[Change]], story: list[Any]
) -> None:
    """Before each month's run: runs that come, in any month; runs that are taken back; a credit note; an
    invoice that is voided and issued again; credit that is given; and terms that are all agreed only then."""
    code, catalogue, changes = agreed
    account = Account(code, catalogue, Books("acme", code, terms_of(changes[:1])))
    for place, (month, (arrived, gone, note, voided, credit)) in enumerate(zip(MONTHS, story, strict=True)):
        # Terms reach back: what is agreed later adjusts what was billed.
        account.books = replace(account.books, terms=terms_of(changes[: 1 + place * 2]))
        for day, runs in arrived:
            account.usage[day] += runs
        for day, runs in gone:
            account.usage[day] = max(0, account.usage[day] - runs)
        if credit:
            given_ = Credit(f"credit-{place}", credit * STEPS[code], place, "goodwill")
            account.books = replace(account.books, credits=(*account.books.credits, given_))
        if note is not None and note[0] in account.issued:
            document, held = account.issued[note[0]]
            less = replace(held, credited=held.credited + note[1] * STEPS[code])
            account.issued[note[0]] = document, less
        explained = [account.run(month)]
        if voided in account.issued:
            del account.issued[voided]
            explained.append(account.run(voided))
        for each in explained:
            check(each.to_data())
            for line in each.lines:
                event(line.line.kind)


@given(
    st.sampled_from(sorted(STEPS)).flatmap(contracts), st.lists(st.tuples(st.booleans(), days), max_size=4)
)
def test_every_line_of_a_contracts_invoice_is_recomputed(
    contract: Contract, steps: list[tuple[bool, date]]
) -> None:
    """Invoiced on some days; between them an amendment may move the dates, and what was invoiced covers a
    part of an instalment."""
    invoiced: Counter[str] = Counter()
    for amended, day in steps:
        if amended:
            dates = [each for each in Instalments if each is not contract.instalments]
            contract = replace(contract, instalments=dates[day.day % 2])
        lines = due_lines(contract, invoiced, day)
        explained = Explanation(
            {
                "kind": "contract",
                "currency": contract.currency,
                "total": sum(line.amount for line in lines),
            },
            MONTHS[0],
            contract.currency,
            explain_contract(contract, invoiced, lines),
        )
        check(explained.to_data())
        for line in lines:
            assert line.reference is not None
            invoiced[line.reference] += line.amount
            event(line.kind)
