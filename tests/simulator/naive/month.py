"""What a month comes to by itself: usage, discount, protection (docs/rules.md §3; §4; §5, 1 to 3)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from tests.simulator.naive.calendar import after, first_of, month_of
from tests.simulator.naive.money import major, rounded
from tests.simulator.naive.outcomes import Held
from tests.simulator.naive.terms import Catalogue, Terms


@dataclass(frozen=True)
class Line:
    """`runs` is None where a line is not about runs. `month` is set on adjustments."""

    kind: str
    runs: int | None
    amount: int
    says: str = ""
    month: str | None = None
    credit: int | None = None


@dataclass(frozen=True)
class Month:
    """Its own lines, the runs that were rated, and those that grants served (None: no contract)."""

    plan: str
    lines: tuple[Line, ...]
    rated: int
    drawn: int | None

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)


def used_by_day(runs: dict[str, Held]) -> dict[date, int]:
    return Counter(each.day for each in runs.values() if each.outcome == "billable")


def price(terms: Terms, catalogue: Catalogue, code: str, month: str, used: dict[date, int]) -> Month:
    plan, contract = terms.plan(month), terms.contract(month)
    rated = sum(runs for day, runs in used.items() if month_of(day) == month)
    drawn = None
    if contract is not None:
        served, _ = terms.draw(contract, used, first_of(after(month)))
        drawn = sum(runs for day, runs in served.items() if month_of(day) == month)
        rated -= drawn
    kind = "usage" if contract is None else "on_demand"
    brackets = catalogue.versions[plan].brackets
    fell: Counter[int] = Counter()
    for number in range(1, rated + 1):
        at = next(at for at, (up_to, _) in enumerate(brackets) if up_to is None or number <= up_to)
        fell[at] += 1
    lines = [Line(kind, runs, rounded(runs * brackets[at][1], code)) for at, runs in sorted(fell.items())]
    due = sum(line.amount for line in lines)
    discount = -rounded(major(due, code) * terms.percent(month) / 100, code)
    if discount:
        lines.append(Line("program_discount", None, discount, "off"))
        due += discount
    charge = terms.protected_at(month)
    if charge is not None and due > charge:
        lines.append(Line("price_protection", None, charge - due, "Price protection"))
    return Month(plan, tuple(lines), rated, drawn)
