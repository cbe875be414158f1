"""Why a month costs more or less than the one before: the difference of two totals, split by what caused it.

Each cause is the difference of one figure between the two months, and the figures sum to the totals: so the
causes sum to the difference to the cent, whatever happened. The figures are read on the plan of the month
before, and the plan changes last (decision 23):

1. runs: all billable runs at the first price that the plan has above zero;
2. contract: less those that committed runs paid for, at that price;
3. free runs: less the free ones, at that price;
4. brackets: less what the cheaper brackets save (prices that rise with use: more what they add);
5. rounding: each bracket's line is rounded by itself; cents, or nothing;
6. plan: the same runs on this month's plan version;
7. program, protection, adjustments, credit, carried: the lines of each kind, as they are on both.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from billing.explaining.steps import decimal_text
from billing.pricing.catalogue import PlanVersion
from billing.pricing.line import Line, LineKind
from billing.pricing.money import EXACT, format_amount, multiply, round_to_minor
from billing.pricing.rating import first_price, free_runs, rate
from billing.reporting.contract_text import month_name
from metering.period import Month


class Driver(enum.StrEnum):
    """What changes a total, in the order in which it is told."""

    RUNS = "runs"
    CONTRACT = "contract"
    FREE_RUNS = "free_runs"
    BRACKETS = "brackets"
    ROUNDING = "rounding"
    PLAN = "plan"
    PROGRAM = "program"
    PROTECTION = "price_protection"
    ADJUSTMENT = "adjustment"
    CREDIT = "credit"
    CARRIED = "carried"


_KINDS = {
    Driver.PROGRAM: LineKind.PROGRAM_DISCOUNT,
    Driver.PROTECTION: LineKind.PRICE_PROTECTION,
    Driver.ADJUSTMENT: LineKind.ADJUSTMENT,
    Driver.CREDIT: LineKind.CREDIT,
    Driver.CARRIED: LineKind.CARRIED,
}


@dataclass(frozen=True, slots=True)
class MonthBill:
    """A month as it is billed: runs, the plan that prices them, and all lines. `drawn` of the runs were paid
    for in advance. `name` is the invoice's number; None where there is none yet."""

    month: Month
    billable: int
    drawn: int
    version: PlanVersion
    lines: tuple[Line, ...]
    name: str | None = None

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True, slots=True)
class Cause:
    """What a driver adds, in minor units, and in words."""

    driver: Driver
    amount: int
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """`before` is None where the month before was not billed: then it is as if it had cost nothing. `causes`
    sum to `difference`; those that add nothing are left out."""

    month: Month
    before: MonthBill | None
    difference: int
    causes: tuple[Cause, ...]

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers; `invoice` is the number of the month before's, null where it is not
        issued or where there is none."""
        return {
            "month": str(self.month),
            "invoice": None if self.before is None else self.before.name,
            "billed": self.before is not None,
            "total": None if self.before is None else self.before.total,
            "difference": self.difference,
            "drivers": [
                {"driver": each.driver.value, "amount": each.amount, "text": each.text}
                for each in self.causes
            ],
        }


def change(now: MonthBill, before: MonthBill | None, code: str) -> Change:
    """The difference between a month and the one before it. `code`: the currency of both."""
    old = before or MonthBill(now.month.previous(), 0, 0, now.version, ())
    then, since = _figures(old, old.version, code), _figures(now, old.version, code)
    causes = [
        Cause(driver, since[driver] - then[driver], _text(driver, old, now, code))
        for driver in Driver
        if since[driver] != then[driver]
    ]
    made = Change(old.month, before, now.total - old.total, tuple(causes))
    assert sum(cause.amount for cause in causes) == made.difference, "a cause was lost or invented"
    return made


def _figures(bill: MonthBill, version: PlanVersion, code: str) -> dict[Driver, int]:
    """Figures that sum to the bill's total, read on a plan: `RUNS` to `ROUNDING` are what it comes to on that
    plan, and `PLAN` what its own makes of it."""
    rated = bill.billable - bill.drawn
    price = first_price(version)
    free = min(rated, free_runs(version) or 0) if price else 0
    saved = [
        (each.quantity, EXACT.subtract(price, each.unit_price))
        for each in rate(rated, version)
        if each.last > (free_runs(version) or 0)
    ]

    def worth(quantity: int, each: Decimal = price) -> int:
        return round_to_minor(multiply(quantity, each), code)

    figures = {
        Driver.RUNS: worth(bill.billable),
        Driver.CONTRACT: -worth(bill.drawn),
        Driver.FREE_RUNS: -worth(free),
        Driver.BRACKETS: -sum(worth(*each) for each in saved) if price else 0,
    }
    on_this = sum(each.amount for each in rate(rated, version))
    figures[Driver.ROUNDING] = on_this - sum(figures.values())
    billed = _of(bill.lines, LineKind.USAGE, LineKind.ON_DEMAND)
    figures[Driver.PLAN] = billed - on_this
    return figures | {driver: _of(bill.lines, kind) for driver, kind in _KINDS.items()}


def _of(lines: Iterable[Line], *kinds: LineKind) -> int:
    return sum(line.amount for line in lines if line.kind in kinds)


# In words


def _text(driver: Driver, old: MonthBill, now: MonthBill, code: str) -> str:  # noqa: PLR0911 - one a driver
    version = old.version
    price = f"{decimal_text(first_price(version), code)} {code}"
    match driver:
        case Driver.RUNS:
            return f"{_more(now.billable - old.billable, 'billable run')}, at {price} each"
        case Driver.CONTRACT:
            return f"{_more(now.drawn - old.drawn, 'run')} paid for in advance, by a contract"
        case Driver.FREE_RUNS:
            used = _free_used(now, version) - _free_used(old, version)
            return f"{_more(used, 'run')} among the free ones"
        case Driver.BRACKETS:
            return "Runs in later brackets, which have another price"
        case Driver.ROUNDING:
            return "Rounding to whole coins, bracket by bracket"
        case Driver.PLAN:
            return f"Plan {now.version.id} in place of {version.id}"
        case Driver.PROGRAM:
            return "What the program takes off"
        case Driver.PROTECTION:
            return "What price protection takes off"
        case Driver.ADJUSTMENT:
            return f"Adjustments of earlier months{_months(old, now)}"
        case Driver.CREDIT:
            return "Account credit that was used"
        case Driver.CARRIED:
            return "Carried over as account credit"


def _free_used(bill: MonthBill, version: PlanVersion) -> int:
    return min(bill.billable - bill.drawn, free_runs(version) or 0)


def _months(old: MonthBill, now: MonthBill) -> str:
    """Which months the invoices adjust."""

    def of(bill: MonthBill) -> str:
        return ", ".join(
            f"{month_name(line.month)}"
            for line in bill.lines
            if line.kind is LineKind.ADJUSTMENT and line.month
        )

    parts = [f"{where}{of(bill)}" for bill, where in ((now, ""), (old, "the month before: ")) if of(bill)]
    return f" ({'; '.join(parts)})" if parts else ""


def _more(quantity: int, noun: str) -> str:
    """`1,200 more billable runs`"""
    plural = "" if abs(quantity) == 1 else "s"
    return f"{abs(quantity):,} {'more' if quantity > 0 else 'fewer'} {noun}{plural}"


def change_text(made: Change, code: str) -> str:
    """The change in one sentence."""
    name = f"{month_name(made.month)} {made.month.year}"
    if made.before is None:
        return f"There is no invoice for {name} to compare with: all of it is new."
    total = format_amount(made.before.total, code)
    if made.difference == 0:
        return f"As much as {name}, which came to {total}."
    than = "more" if made.difference > 0 else "less"
    return f"{format_amount(abs(made.difference), code)} {than} than {name}, which came to {total}."
