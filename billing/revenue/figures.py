"""The figures of a month in one currency, added up from facts, an account at a time. Pure.

None of them is read from the journal: the report compares the two (docs/revenue.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from billing.pricing.catalogue import PlanVersion
from billing.pricing.days import first_day
from billing.pricing.line import LineKind
from billing.pricing.rating import rate
from billing.revenue.documents import EARNED, is_accrued
from billing.revenue.documents import earned as earned_of
from billing.revenue.facts import AccountFacts, Close, Document
from billing.revenue.journal import positions
from billing.revenue.ledger import LedgerAccount
from billing.revenue.receivable import left_open, settlements, went_back_before
from metering.period import Month, day_of

_L = LedgerAccount
_DAY = timedelta(days=1)
AGES = ("not_due", "1-30", "31-60", "61-90", "over_90")
_TO_GIVE_BACK = "to_give_back"
_GRANTED = {"referral", "goodwill"}


@dataclass(frozen=True, slots=True)
class Window:
    """The days of a month that are reported, `first` to `last`; what is open is as of `as_of`."""

    month: Month
    last: date
    as_of: date

    @property
    def first(self) -> date:
        return first_day(self.month)

    @property
    def before(self) -> date:
        return self.first - _DAY

    def has(self, instant: int | None) -> bool:
        return instant is not None and self.first <= day_of(instant) <= self.last

    def has_day(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass
class Rolled:
    """A contract in a month: what was invoiced and not earned as it began, what came and went, and what is
    left. Less than 0: earned and not invoiced."""

    account: str
    opening: int = 0
    invoiced: int = 0
    voided: int = 0
    drawn: int = 0
    expired: int = 0
    services: int = 0
    closing: int = 0
    drawn_runs: int = 0
    expired_runs: int = 0
    is_final: bool = True

    @property
    def adds_up(self) -> bool:
        earned = self.drawn + self.expired + self.services
        return self.closing == self.opening + self.invoiced - self.voided - earned


@dataclass
class Figures:
    """`counts`: how many documents. `sums`: amounts in minor units by name. `earned`: what each account of
    revenue got, as an amount above 0. `open_by_age`: what is owed, by days past due."""

    window: Window
    counts: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    granted: Counter[str] = field(default_factory=Counter)
    earned: Counter[LedgerAccount] = field(default_factory=Counter)
    programs: Counter[str] = field(default_factory=Counter)
    open_by_age: Counter[str] = field(default_factory=Counter)
    not_billed: Counter[str] = field(default_factory=Counter)
    given_away: Counter[str] = field(default_factory=Counter)
    contracts: dict[str, Rolled] = field(default_factory=dict)

    def add(self, facts: AccountFacts, versions: Mapping[str, PlanVersion]) -> None:
        """`versions`: the plans that prices are of, by their ids."""
        for document in facts.documents:
            self._add_document(document)
            self._add_not_billed(document, versions)
        for row in facts.credits:
            on = day_of(row.at)
            self.sums["credit_opening"] += row.amount * (on < self.window.first)
            self.sums["credit_closing"] += row.amount * (on <= self.window.last)
            if self.window.has_day(on):
                self.granted[row.kind] += row.amount
                self.earned[_L.CREDIT_GRANTED] -= row.amount * (row.kind in _GRANTED)
        self._roll(facts)

    def _add_document(self, document: Document) -> None:
        window, is_later = self.window, is_accrued(document)
        last = document.month.last_day
        if is_later and window.has_day(last):
            self._earn(document, 1)
            self.sums["accrued"] += earned_of(document)
        if is_later and last <= window.last < day_of(document.issued_at):
            self.sums["unbilled_usage"] += earned_of(document)
        if document.kind == "usage" and document.month == window.month and document.voided_at is None:
            self.counts["of_month"] += 1
            self.sums["of_month"] += document.total
        if window.has(document.issued_at):
            self.counts[document.kind] += 1
            self.sums[f"invoiced_{document.kind}"] += document.total
            self.sums["tax"] += document.tax
            self._earn(document, 0 if is_later else 1)
        if window.has(document.voided_at):
            self._void(document)
        for note in document.notes:
            if window.has(note.at):
                self.counts["credit_notes"] += 1
                self.sums["credit_notes"] += note.amount
                self.earned[_L.CREDIT_NOTES] -= note.amount
        for payment in document.payments:
            if window.has(payment.at):
                self.counts["payments"] += 1
                self.sums["paid"] += payment.amount
        for settled in settlements(document):
            self.sums["settled"] += settled.amount * window.has_day(settled.on)
        for each in document.reversals:
            if window.has(each.at):
                self.counts["reversals"] += 1
                self.sums["reversals"] += each.amount
                self.earned[_L.REFUNDS] -= each.amount * went_back_before(document, each)
        self._age(document)

    def _void(self, document: Document) -> None:
        self.counts["voided"] += 1
        self.sums["voided"] += document.total
        self.sums["tax"] -= document.tax
        noted = sum(note.amount for note in document.notes)
        self.sums["voided_notes"] += noted
        self.sums["voided_paid"] += document.paid
        self.earned[_L.CREDIT_NOTES] += noted
        gone = [each.amount for each in document.reversals if went_back_before(document, each)]
        self.earned[_L.REFUNDS] += sum(gone)
        self._earn(document, -1)
        # Credit that it carried over and that was spent cannot be withdrawn: it stays granted.
        carried = sum(
            line.amount for line in document.lines if line.kind in (LineKind.CREDIT, LineKind.CARRIED)
        )
        self.earned[_L.CREDIT_GRANTED] -= carried + sum(row.amount for row in document.undone)

    def _earn(self, document: Document, sign: int) -> None:
        for line in document.lines:
            if line.kind in EARNED:
                self.earned[EARNED[line.kind]] += sign * line.amount
            if line.kind is LineKind.PROGRAM_DISCOUNT:
                self.programs[program_of(line.description)] += sign * line.amount

    def _age(self, document: Document) -> None:
        left = left_open(document, self.window.as_of)
        if left:
            late = (self.window.as_of - document.due_on).days
            age = _TO_GIVE_BACK if left < 0 else AGES[0] if late <= 0 else AGES[min((late + 29) // 30, 4)]
            self.open_by_age[age] += left
            self.counts[f"open/{age}"] += 1

    def _add_not_billed(self, document: Document, versions: Mapping[str, PlanVersion]) -> None:
        """Had each run been billed that was not, reason by reason in the order of the rules: what it would
        have added to the month by the plan's schedule."""
        if document.kind != "usage" or document.month != self.window.month or document.voided_at is not None:
            return
        quantity = document.billable - document.drawn
        before = _rated(quantity, versions[document.plan])
        for reason, runs in (document.not_billed or {}).items():
            quantity += runs
            after = _rated(quantity, versions[document.plan]) if runs else before
            self.not_billed[reason] += runs
            self.given_away[reason] += after - before
            before = after

    def _roll(self, facts: AccountFacts) -> None:
        opening, closing = positions(facts, self.window.before), positions(facts, self.window.last)
        held = {name: Rolled(facts.account, opening[name], closing=closing[name]) for name in closing}
        for document in facts.documents:
            if document.kind == "contract" and document.contract is not None:
                amount = document.total
                held[document.contract].invoiced += amount * self.window.has(document.issued_at)
                held[document.contract].voided += amount * self.window.has(document.voided_at)
        for commitment in facts.commitments:
            rolled = held.setdefault(commitment.contract, Rolled(facts.account))
            delivered = [each.price for each in commitment.deliveries if self.window.has_day(each.on)]
            rolled.services += sum(delivered)
            before = Close(self.window.month, 0, 0, 0, 0, is_final=True)
            for close in commitment.closes:
                if self.window.has_day(close.month.last_day):
                    rolled.drawn, rolled.expired = close.drawn - before.drawn, close.expired - before.expired
                    rolled.drawn_runs = close.drawn_runs - before.drawn_runs
                    rolled.expired_runs = close.expired_runs - before.expired_runs
                    rolled.is_final = close.is_final
                before = close
            self.earned[_L.COMMITMENTS] += rolled.drawn
            self.earned[_L.BREAKAGE] += rolled.expired
            self.earned[_L.SERVICES] += rolled.services
        nothing = Rolled(facts.account)
        self.contracts |= {name: each for name, each in held.items() if each != nothing}


def program_of(description: str) -> str:
    """The program that a line of a discount names: `Program startups: 50% off …`."""
    return description.removeprefix("Program ").partition(":")[0]


def _rated(quantity: int, version: PlanVersion) -> int:
    return sum(each.amount for each in rate(quantity, version))
