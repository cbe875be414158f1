"""What an account owes, worked out the slow way from docs/rules.md alone: run by run, and day by day.

Nothing here is shared with `billing`. Every committed run is a token, and every month is priced anew from the
usage of all days whenever somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from math import floor

from metering.period import Month

# Price schedules: (up to, price of a run in major units), small enough for a few runs to reach every bracket.
PLANS = {
    "tiny@1": ((10, Fraction(0)), (60, Fraction(333, 10_000)), (None, Fraction(125, 10_000))),
    "flat@1": ((5, Fraction(0)), (None, Fraction(5, 100))),
}


def first_of(month: Month) -> date:
    return date(month.year, month.number, 1)


def days_of(month: Month) -> Iterator[date]:
    day = first_of(month)
    while day.month == month.number:
        yield day
        day += timedelta(days=1)


def half_up(cents: Fraction) -> int:
    """Of a negative amount, its magnitude."""
    return -half_up(-cents) if cents < 0 else floor(cents + Fraction(1, 2))


@dataclass
class Grant:
    id: str
    runs: int
    granted_on: date
    expires_on: date


@dataclass
class Contract:
    start: date
    end: date
    plan: str
    grants: list[Grant] = field(default_factory=list)

    def covers(self, month: Month) -> bool:
        return self.start <= first_of(month) < self.end


@dataclass
class Cost:
    """What a month comes to: runs and cents of each bracket, discount, protection; runs rated and drawn."""

    brackets: list[tuple[int, int]]
    discount: int
    protection: int
    rated: int
    drawn: int

    @property
    def amount(self) -> int:
        return sum(cents for _, cents in self.brackets) + self.discount + self.protection


@dataclass
class Invoice:
    cost: Cost
    adjustments: dict[Month, tuple[int, int]]  # runs, cents
    credit: list[tuple[int, int]]  # which, cents
    carried: int
    carried_to: int | None
    total: int
    notes: int = 0


@dataclass
class NaiveBooks:
    usage: Counter[date] = field(default_factory=Counter)
    enrolments: list[tuple[Month, str]] = field(default_factory=list)
    contract: Contract | None = None
    programs: list[tuple[Fraction, date, date]] = field(default_factory=list)
    protections: list[tuple[Month, int, date]] = field(default_factory=list)
    credit: list[int] = field(default_factory=list)  # what is left of each, in the order of granting
    live: dict[Month, Invoice] = field(default_factory=dict)

    def plan(self, month: Month) -> str:
        if self.contract is not None and self.contract.covers(month):
            return self.contract.plan
        since, plan = [each for each in self.enrolments if each[0] <= month][-1]
        ended = self.contract is not None and self.contract.end <= first_of(month)
        if ended and self.contract is not None and first_of(since) < self.contract.end:
            return self.contract.plan
        return plan

    def tokens(self, until: date) -> tuple[Counter[date], list[tuple[date, date, str]]]:
        """Runs that committed ones served, by day, and the tokens that nobody took, as of a day's end."""
        assert self.contract is not None
        tokens = sorted(
            (grant.expires_on, grant.granted_on, grant.id)
            for grant in self.contract.grants
            for _ in range(grant.runs)
        )
        drawn: Counter[date] = Counter()
        day = self.contract.start
        while day < self.contract.end and day <= until:
            for _ in range(self.usage[day]):
                good = next((token for token in tokens if token[1] <= day < token[0]), None)
                if good is not None:
                    tokens.remove(good)
                    drawn[day] += 1
            day += timedelta(days=1)
        return drawn, tokens

    def balance(self, on: date) -> int:
        """Of committed runs: granted by then, not used, and not expired."""
        _, tokens = self.tokens(on)
        return sum(1 for expires_on, granted_on, _ in tokens if granted_on <= on < expires_on)

    def cost(self, month: Month) -> Cost:
        used = sum(self.usage[day] for day in days_of(month))
        drawn = 0
        if self.contract is not None and self.contract.covers(month):
            by_day, _ = self.tokens(first_of(month.next()) - timedelta(days=1))
            drawn = sum(by_day[day] for day in days_of(month))
        rated = used - drawn
        brackets: Counter[int] = Counter()
        schedule = PLANS[self.plan(month)]
        for number in range(1, rated + 1):
            brackets[
                next(at for at, (up_to, _) in enumerate(schedule) if up_to is None or number <= up_to)
            ] += 1
        priced = [(runs, half_up(runs * schedule[at][1] * 100)) for at, runs in sorted(brackets.items())]
        usage = sum(cents for _, cents in priced)
        first = first_of(month)
        best = max((percent for percent, start, end in self.programs if start <= first < end), default=0)
        discount = half_up(-usage * Fraction(best) / 100)
        protection = 0
        protections = [each for each in self.protections if each[0] <= month]
        if protections and first < protections[-1][2]:
            protection = min(0, protections[-1][1] - usage - discount)
        return Cost(priced, discount, protection, rated, drawn)

    def billed(self, month: Month, leaving_out: Month) -> tuple[int, int]:
        """Runs and cents that live documents billed for a month."""
        runs = cents = 0
        for of, invoice in self.live.items():
            if of == leaving_out:
                continue
            if of == month:
                runs += invoice.cost.rated
                cents += invoice.cost.amount - invoice.notes
            if month in invoice.adjustments:
                runs += invoice.adjustments[month][0]
                cents += invoice.adjustments[month][1]
        return runs, cents

    def run(self, month: Month, *, any_runs: bool) -> Invoice | None:
        """Bill a month that is not live; None where there is nothing to say. `any_runs`: whether it has task
        runs, billable or not."""
        cost = self.cost(month)
        adjustments = {}
        for earlier in sorted(each for each in self.live if each < month):
            now = self.cost(earlier)
            runs, cents = self.billed(earlier, month)
            if now.amount != cents:
                adjustments[earlier] = (now.rated - runs, now.amount - cents)
        runs, cents = self.billed(month, month)
        if cents:
            adjustments[month] = (-runs, -cents)
        due = cost.amount + sum(cents for _, cents in adjustments.values())
        used = []
        for which, left in enumerate(self.credit):
            if due > 0 and left:
                used.append((which, min(left, due)))
                self.credit[which] -= used[-1][1]
                due -= used[-1][1]
        carried = max(0, -due)
        carried_to = None
        if carried:
            carried_to = len(self.credit)
            self.credit.append(carried)
        invoice = Invoice(cost, adjustments, used, carried, carried_to, max(0, due))
        if not any_runs and not adjustments:
            return None
        self.live[month] = invoice
        return invoice

    def may_void(self, month: Month) -> bool:
        invoice = self.live[month]
        return invoice.carried_to is None or self.credit[invoice.carried_to] == invoice.carried

    def void(self, month: Month) -> None:
        invoice = self.live.pop(month)
        for which, cents in invoice.credit:
            self.credit[which] += cents
        if invoice.carried_to is not None:
            self.credit[invoice.carried_to] = 0
