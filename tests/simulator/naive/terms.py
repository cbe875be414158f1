"""What was agreed with an account, and from when on (docs/rules.md §3, §4, §5)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from tests.simulator.naive.calendar import after, first_of, month_of, months_between


class Refusal(Exception):  # noqa: N818 - what the service says, not what went wrong here
    """The service is to turn this down, for this reason."""


@dataclass(frozen=True)
class Version:
    """A plan version: prices of a run in major units, each up to a number of runs (None: without end)."""

    plan: str
    name: str
    currency: str
    effective_from: date
    brackets: tuple[tuple[int | None, Fraction], ...]

    @property
    def id(self) -> str:
        return f"{self.plan}@{self.name}"


class Catalogue:
    def __init__(self) -> None:
        self.versions: dict[str, Version] = {}

    def meant(self, plan: str, month: str) -> Version:
        """`starter` is the newest version in effect in the month, `starter@2021-02` that one."""
        known = [each for each in self.versions.values() if plan in (each.plan, each.id)]
        good = [each for each in known if each.effective_from <= first_of(month)]
        if not good:
            raise Refusal("")
        return max(good, key=lambda each: (each.effective_from, each.name))


@dataclass
class Grant:
    id: str
    runs: int
    price: int
    granted_on: date
    expires_on: date


@dataclass
class Contract:
    id: str
    start: date
    end: date
    plan: str
    instalments: str
    grants: list[Grant]
    services: list[tuple[str, int, date]]
    repriced: list[tuple[str, str]] = field(default_factory=list)  # from a month on, another plan

    def covers(self, month: str) -> bool:
        return self.start <= first_of(month) < self.end

    def plan_in(self, month: str) -> str:
        found = self.plan
        for since, plan in self.repriced:
            if since <= month:
                found = plan
        return found

    def amend(self, end: date | None, extend: bool, plan: str | None, since: str | None) -> None:
        if end is not None:
            for grant in self.grants:
                if grant.expires_on > end or (extend and grant.expires_on == self.end):
                    grant.expires_on = end
            self.end = end
        if plan is not None and since is not None:
            self.repriced = [each for each in self.repriced if each[0] < since] + [(since, plan)]


@dataclass
class Terms:
    enrolments: list[tuple[str, str]] = field(default_factory=list)  # from a month on, a plan version
    contracts: list[Contract] = field(default_factory=list)
    programs: list[tuple[str, Fraction, date, date]] = field(default_factory=list)
    protections: list[tuple[str, int, date]] = field(default_factory=list)

    def copy(self) -> Terms:
        return deepcopy(self)

    def enrol(self, since: str, plan: str) -> None:
        self.enrolments = [each for each in self.enrolments if each[0] < since] + [(since, plan)]

    def protect(self, since: str, charge: int, until: date) -> None:
        self.protections = [each for each in self.protections if each[0] < since] + [(since, charge, until)]

    def leave(self, program: str, on: date) -> None:
        if not any(name == program and end > on for name, _, _, end in self.programs):
            raise Refusal("")
        self.programs = [
            (name, percent, start, min(end, on) if name == program else end)
            for name, percent, start, end in self.programs
            if name != program or start < on
        ]

    def contract(self, month: str) -> Contract | None:
        return next((each for each in self.contracts if each.covers(month)), None)

    def plan(self, month: str) -> str:
        """Month by month: a contract's plan goes on after its end, until another is agreed."""
        since, plan = self.enrolments[0]
        earliest = min([since, *(month_of(each.start) for each in self.contracts)])
        for each in months_between(min(earliest, month), after(month)):
            contract = self.contract(each)
            plan = contract.plan_in(each) if contract is not None else dict(self.enrolments).get(each, plan)
        return plan

    def percent(self, month: str) -> Fraction:
        first = first_of(month)
        return max(
            (percent for _, percent, start, end in self.programs if start <= first < end), default=Fraction(0)
        )

    def protected_at(self, month: str) -> int | None:
        held = [each for each in self.protections if each[0] <= month]
        return held[-1][1] if held and first_of(month) < held[-1][2] else None

    def say_of(self, month: str) -> object:
        """All that has a say in the price of a month."""
        contract, end = self.contract(month), first_of(after(month))
        grants = [] if contract is None else [each for each in contract.grants if each.granted_on < end]
        return (
            self.plan(month),
            contract and contract.id,
            sorted((min(g.expires_on, end), g.granted_on, g.id, g.runs) for g in grants),
            self.percent(month),
            self.protected_at(month),
        )

    def draw(
        self, contract: Contract, used: dict[date, int], until: date
    ) -> tuple[dict[date, int], dict[str, int]]:
        """Run by run, day by day up to `until`, which is left out: the runs of each day that a grant served,
        and what is left of each grant."""
        left = {grant.id: grant.runs for grant in contract.grants}
        order = sorted(contract.grants, key=lambda g: (g.expires_on, g.granted_on, g.id))
        drawn: dict[date, int] = {}
        day = contract.start
        while day < min(contract.end, until):
            good = [grant.id for grant in order if grant.granted_on <= day < grant.expires_on]
            for _ in range(used.get(day, 0)):
                first = next((id for id in good if left[id]), None)
                if first is not None:
                    left[first] -= 1
                    drawn[day] = drawn.get(day, 0) + 1
            day += timedelta(days=1)
        return drawn, left
