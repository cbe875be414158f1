"""Random stacks of terms against plain integer arithmetic, and a year of late changes against what the months
cost in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.pricing.adjustment import Adjustment, Priced, billed_for, priced
from billing.pricing.catalogue import Bracket, PlanVersion
from billing.pricing.contract import Grant
from billing.pricing.credit import Credit
from billing.pricing.drawdown import draw
from billing.pricing.invoice import Basis, Document, LineKind, compose
from billing.pricing.line import Line
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts

# Cheap brackets that small quantities reach, with prices in 10^-4 of the major unit.
BRACKETS = ((10, 0), (100, 25), (500, 125), (None, 7))
STEPS = {"USD": 1, "JPY": 1, "ISK": 100}
PLACES = {"USD": 2, "JPY": 0, "ISK": 0}
PERIOD = Month(2026, 6)


def schedule(code: str) -> PlanVersion:
    return PlanVersion(
        "test",
        "v1",
        date(2021, 2, 1),
        code,
        None,
        tuple(Bracket(up_to, Decimal(price).scaleb(-4)) for up_to, price in BRACKETS),
    )


def half_up(coins: Fraction) -> int:
    return floor(coins + Fraction(1, 2))


def cost(runs: int, code: str) -> int:
    """Lines (1), run by run in fractions; in coins."""
    amounts: Counter[int] = Counter()
    for number in range(1, runs + 1):
        amounts[next(i for i, (up_to, _) in enumerate(BRACKETS) if up_to is None or number <= up_to)] += 1
    return sum(half_up(Fraction(n * BRACKETS[i][1] * 10 ** PLACES[code], 10_000)) for i, n in amounts.items())


dates = st.dates(date(2026, 4, 25), date(2026, 8, 5))
percentages = st.integers(1, 1_000_000).map(lambda n: Decimal(n).scaleb(-4)) | st.just(Decimal(100))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    first, last = sorted(draw(st.lists(dates, min_size=2, max_size=2, unique=True)))
    return Program(draw(st.sampled_from(ProgramName)), draw(percentages), first, last)


@st.composite
def stacks(draw: st.DrawFn) -> Basis:
    code = draw(st.sampled_from(sorted(STEPS)))
    step = STEPS[code]
    coins = st.integers(0, 500).map(lambda n: n * step)
    billable = draw(st.integers(0, 700))
    on_demand = draw(st.integers(0, billable))
    months = draw(st.lists(st.integers(1, 5), unique=True, max_size=3))
    return Basis(
        "acme",
        PERIOD,
        code,
        Counts({Outcome.BILLABLE: billable}),
        schedule(code),
        contract=draw(st.none() | st.just(ContractMonth("c", billable - on_demand, on_demand))),
        programs=tuple(draw(st.lists(programs(), max_size=3))),
        protection=draw(st.none() | st.builds(PriceProtection, coins, dates)),
        adjustments=tuple(
            Adjustment(Month(2026, number), Priced(draw(coins), 5), Priced(draw(coins), 3))
            for number in months
        ),
        credits=tuple(
            Credit(f"c{place}", draw(st.integers(1, 300)) * step, draw(st.integers(0, 3)), "goodwill")
            for place in range(draw(st.integers(0, 4)))
        ),
    )


@given(stacks())
def test_a_stack_of_terms_agrees_with_whole_number_arithmetic(basis: Basis) -> None:
    document = compose(basis)
    step, first = STEPS[basis.currency], date(2026, 6, 1)
    expected: Counter[LineKind] = Counter()

    runs = basis.counts.billable if basis.contract is None else basis.contract.on_demand
    rated = LineKind.USAGE if basis.contract is None else LineKind.ON_DEMAND
    expected[rated] = cost(runs, basis.currency)
    active = [p.percentage for p in basis.programs if p.starts_on <= first < p.ends_on]
    expected[LineKind.PROGRAM_DISCOUNT] = -half_up(
        expected[rated] * Fraction(max(active, default=Decimal(0))) / 100
    )
    due = sum(expected.values())
    if basis.protection is not None and first < basis.protection.ends_on:
        expected[LineKind.PRICE_PROTECTION] = min(0, basis.protection.charge // step - due)
    expected[LineKind.ADJUSTMENT] = (
        sum(a.recomputed.amount - a.billed.amount for a in basis.adjustments) // step
    )
    due = sum(expected.values())
    expected[LineKind.CREDIT] = -min(max(due, 0), sum(credit.amount for credit in basis.credits) // step)
    expected[LineKind.CARRIED] = max(-due, 0)

    found: Counter[LineKind] = Counter()
    for line in document.lines:
        found[line.kind] += line.amount
    assert found == Counter({kind: coins * step for kind, coins in expected.items()})
    assert document.total == sum(found.values()) == sum(line.amount for line in document.lines) >= 0
    assert document.carried == expected[LineKind.CARRIED] * step
    if document.carried or document.credits_used:
        assert not (document.carried and document.credits_used)


@given(stacks())
def test_credits_are_consumed_oldest_first_and_never_overdrawn(basis: Basis) -> None:
    """Coin by coin: every coin due takes the oldest coin of credit that is left."""
    without = compose(Basis(**_fields(basis) | {"credits": ()}))
    coins = sorted(
        (credit.granted_at, credit.id)
        for credit in basis.credits
        for _ in range(credit.amount // STEPS[basis.currency])
    )
    taken = Counter(id for _, id in coins[: without.total // STEPS[basis.currency]])
    document = compose(basis)
    assert {use.id: use.amount // STEPS[basis.currency] for use in document.credits_used} == dict(taken)
    assert document.total == without.total - sum(use.amount for use in document.credits_used)


@given(stacks())
def test_terms_that_do_not_apply_change_nothing(basis: Basis) -> None:
    """The neutral basis makes the same lines (1) as one with terms: nothing is ever edited."""
    rated = (LineKind.USAGE, LineKind.ON_DEMAND)
    plain = Basis(basis.account, basis.period, basis.currency, basis.counts, basis.version, basis.contract)
    lines = compose(basis).lines
    assert tuple(line for line in lines if line.kind in rated) == compose(plain).lines
    assert lines[: len(compose(plain).lines)] == compose(plain).lines


def _fields(basis: Basis) -> dict[str, Any]:
    return {name: getattr(basis, name) for name in Basis.__dataclass_fields__}


# A year of an account, with changes that arrive late


@dataclass
class Books:
    """A small keeper of documents, as a billing run is: what is live by month, and the account's credit."""

    code: str = "USD"
    usage: Counter[Month] = field(default_factory=Counter)
    live: dict[Month, tuple[Line, ...]] = field(default_factory=dict)
    notes: Counter[Month] = field(default_factory=Counter)
    credit: dict[str, int] = field(default_factory=dict)

    def basis(self, month: Month, **terms: Any) -> Basis:
        """June on: half off. July on: at most 1.00."""
        return Basis(
            "acme",
            month,
            self.code,
            Counts({Outcome.BILLABLE: self.usage[month]}),
            schedule(self.code),
            programs=(Program(ProgramName.STARTUPS, Decimal(50), date(2026, 6, 1), date(2027, 1, 1)),),
            protection=PriceProtection(100, date(2026, 5, 1)),
            **terms,
        )

    def costs(self, month: Month) -> int:
        full = cost(self.usage[month], self.code)
        due = full - half_up(Fraction(full, 2)) if month.number >= 6 else full
        return min(due, 100) if month.number < 5 else due

    def billed(self, month: Month) -> Priced:
        others = [line for other, lines in self.live.items() if other != month for line in lines]
        return billed_for(month, self.live.get(month, ()), others, self.notes[month])

    def run(self, month: Month) -> Document:
        earlier = sorted(other for other in self.live if other < month)
        adjustments = [
            Adjustment(other, priced(compose(self.basis(other)).lines), self.billed(other))
            for other in earlier
        ]
        if self.billed(month) != Priced():  # issued again after a void
            adjustments.append(Adjustment(month, Priced(), self.billed(month)))
        credits = tuple(Credit(id, left, 0, "carried") for id, left in self.credit.items() if left)
        document = compose(self.basis(month, adjustments=tuple(adjustments), credits=credits))
        for use in document.credits_used:
            self.credit[use.id] -= use.amount
            assert self.credit[use.id] >= 0
        if document.carried:
            self.credit[f"{month}/{len(self.credit)}"] = document.carried
        self.live[month] = document.lines
        return document


MONTHS = [Month(2026, number) for number in range(3, 10)]
late = st.lists(st.tuples(st.sampled_from(MONTHS), st.integers(-300, 300)), max_size=5)


@given(st.lists(late, min_size=len(MONTHS), max_size=len(MONTHS)))
def test_what_was_billed_for_a_month_is_what_it_costs_in_the_end(
    arrivals: list[list[tuple[Month, int]]],
) -> None:
    """Before each run some runs arrive, or are reversed, in any month; after it, every month billed so far
    has been billed for exactly what it costs now, and no money has appeared or vanished."""
    books = Books()
    paid = 0
    for month, arrived in zip(MONTHS, arrivals, strict=True):
        for where, runs in arrived:
            books.usage[where] = max(0, books.usage[where] + runs)
        document = books.run(month)
        paid += document.total
        for done in books.live:
            assert books.billed(done).amount == books.costs(done)
        assert paid - sum(books.credit.values()) == sum(books.costs(done) for done in books.live)


@given(st.lists(st.lists(st.integers(0, 200), max_size=4), min_size=2, max_size=5))
def test_a_change_in_several_parts_ends_at_the_same_sum(parts: list[list[int]]) -> None:
    """March's late runs arrive in parts over the following months, or all at once before the last."""
    split, whole = Books(), Books()
    months = MONTHS[: len(parts) + 1]
    for books in (split, whole):
        books.usage[months[0]] = 90
        books.run(months[0])
    for month, part in zip(months[1:], parts, strict=True):
        split.usage[months[0]] += sum(part)
        if month == months[-1]:
            whole.usage[months[0]] += sum(map(sum, parts))
        split.run(month)
        whole.run(month)
    assert split.billed(months[0]).amount == whole.billed(months[0]).amount == split.costs(months[0])


@given(late, late, st.sampled_from(MONTHS[:3]), st.booleans())
def test_a_void_and_a_new_issue_bill_nothing_twice(
    before: list[tuple[Month, int]], after: list[tuple[Month, int]], voided: Month, later_first: bool
) -> None:
    """An invoice is voided after later ones adjusted its month, and issued again before or after the next."""
    books = Books()
    for month in MONTHS[:2]:
        books.usage[month] = 150
    for month in MONTHS[:4]:
        books.run(month)
        for where, runs in before:
            books.usage[where] = max(0, books.usage[where] + runs)
    books.run(MONTHS[4])
    del books.live[voided]
    for where, runs in after:
        books.usage[where] = max(0, books.usage[where] + runs)
    for month in [MONTHS[5], voided] if later_first else [voided, MONTHS[5]]:
        books.run(month)
    books.run(MONTHS[6])
    for done in books.live:
        assert books.billed(done).amount == books.costs(done)


@given(late, st.integers(1, 200))
def test_a_usage_credit_note_is_part_of_what_was_billed(arrived: list[tuple[Month, int]], note: int) -> None:
    """A note gives money back; the next run bills it again unless the usage it was for was corrected too."""
    books = Books()
    books.usage[MONTHS[0]] = 300
    books.run(MONTHS[0])
    books.notes[MONTHS[0]] = note
    for where, runs in arrived:
        books.usage[where] = max(0, books.usage[where] + runs)
    books.run(MONTHS[1])
    assert books.billed(MONTHS[0]).amount == books.costs(MONTHS[0])


@dataclass
class ContractBooks(Books):
    """The same account under contract all year, with its usage of a month on the 15th."""

    grants: tuple[Grant, ...] = ()

    def basis(self, month: Month, **terms: Any) -> Basis:
        by_day = {date(used.year, used.number, 15): runs for used, runs in self.usage.items()}
        drawdown = draw(self.grants, by_day)
        return Basis(
            "acme",
            month,
            self.code,
            Counts({Outcome.BILLABLE: self.usage[month]}),
            schedule(self.code),
            contract=ContractMonth("c", drawdown.drawn(month), drawdown.on_demand(month)),
            **terms,
        )

    def costs(self, month: Month) -> int:
        """Run by run: every run takes the first token that is good on its day."""
        tokens = sorted((g.expires_on, g.granted_on, g.id) for g in self.grants for _ in range(g.runs))
        on_demand = 0
        for used in sorted(self.usage):
            day = date(used.year, used.number, 15)
            good = [token for token in tokens if token[1] <= day < token[0]][: self.usage[used]]
            for token in good:
                tokens.remove(token)
            if used == month:
                on_demand = self.usage[used] - len(good)
        return cost(on_demand, self.code)


@st.composite
def year_grants(draw_: st.DrawFn) -> tuple[Grant, ...]:
    found = []
    for place in range(draw_(st.integers(0, 3))):
        first, last = sorted(draw_(st.lists(st.integers(1, 12), min_size=2, max_size=2, unique=True)))
        found.append(
            Grant(f"g{place}", draw_(st.integers(1, 400)), 0, date(2026, first, 10), date(2026, last, 10))
        )
    return tuple(found)


@given(
    st.lists(late, min_size=len(MONTHS), max_size=len(MONTHS)),
    st.lists(year_grants(), min_size=len(MONTHS), max_size=len(MONTHS)),
)
def test_late_usage_and_grants_under_contract_are_adjusted_to_what_every_month_costs(
    arrivals: list[list[tuple[Month, int]]], grants: list[tuple[Grant, ...]]
) -> None:
    """Late usage in March can put runs of June on demand; an amended grant can do the same. After every run
    each month has been billed for what it costs now."""
    books = ContractBooks()
    for month, arrived, held in zip(MONTHS, arrivals, grants, strict=True):
        books.grants = held
        for where, runs in arrived:
            books.usage[where] = max(0, books.usage[where] + runs)
        books.run(month)
        for done in books.live:
            assert books.billed(done).amount == books.costs(done)
