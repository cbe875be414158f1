"""Programs: academia, startups, nonprofits; a percentage off the month's usage (docs/rules.md §5, 2)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from billing.pricing.days import first_day, is_day
from billing.pricing.errors import TermsError, UnknownProgram
from billing.pricing.line import Line, LineKind
from billing.pricing.money import EXACT, format_amount, plain, require_decimal, round_to_minor, to_major
from metering.period import Month

if TYPE_CHECKING:
    from billing.pricing.basis import Basis

MAX_PERCENTAGE_PLACES = 4


class ProgramName(enum.StrEnum):
    ACADEMIA = "academia"
    STARTUPS = "startups"
    NONPROFITS = "nonprofits"


def program_name(text: str) -> ProgramName:
    """The program a user means. Raises UnknownProgram, listing what there is."""
    try:
        return ProgramName(text)
    except ValueError:
        raise UnknownProgram(
            f"there is no program {text!r}; known: {', '.join(ProgramName)}", field="program"
        ) from None


@dataclass(frozen=True, slots=True)
class Program:
    """A program that an account is in on the days `[starts_on, ends_on)`. `percentage` is above 0 and at most
    100, with up to 4 places. Raises TermsError, and TypeError for a percentage that is no Decimal."""

    name: ProgramName
    percentage: Decimal
    starts_on: date
    ends_on: date

    def __post_init__(self) -> None:
        where = f"program {self.name}"
        if not isinstance(self.name, ProgramName):
            raise UnknownProgram(f"there is no program {self.name!r}; known: {', '.join(ProgramName)}")
        _check_percentage(where, self.percentage)
        for name, day in (("starts_on", self.starts_on), ("ends_on", self.ends_on)):
            if not is_day(day):
                raise TermsError(
                    f"{where}: {name} must be a date such as 2026-01-01, not {str(day)!r}", field="until"
                )
        if self.ends_on <= self.starts_on:
            raise TermsError(
                f"{where}: it ends on {self.ends_on}, which is not after its start on {self.starts_on}",
                field="until",
            )

    def covers(self, month: Month) -> bool:
        """Whether it is active on the month's first day; then it covers the whole month."""
        return self.starts_on <= first_day(month) < self.ends_on


def best(programs: Iterable[Program], month: Month) -> Program | None:
    """Of the programs that cover a month the one with the highest percentage, alone; among equals the one
    that lasts longest."""
    active = (program for program in programs if program.covers(month))
    return max(active, key=lambda program: (program.percentage, program.ends_on, program.name), default=None)


def program_discount(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """The best program's percentage of the rounded sum of the usage lines, as a negative amount. No line
    where that is nothing."""
    program = best(basis.programs, basis.period)
    usage = sum(line.amount for line in before)
    if program is None:
        return ()
    exact = -EXACT.multiply(to_major(usage, basis.currency), EXACT.scaleb(program.percentage, -2))
    amount = round_to_minor(exact, basis.currency)
    if amount == 0:
        return ()
    off = f"{plain(program.percentage)}% off {format_amount(usage, basis.currency)}"
    return (Line(LineKind.PROGRAM_DISCOUNT, f"Program {program.name}: {off}", 1, None, exact, amount),)


def _check_percentage(where: str, percentage: Decimal) -> None:
    require_decimal(percentage)
    if not percentage.is_finite() or not 0 < percentage <= 100:
        raise TermsError(
            f"{where}: {percentage}% is not a discount; it is above 0 and at most 100", field="percent"
        )
    exponent = percentage.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_PERCENTAGE_PLACES:
        raise TermsError(
            f"{where}: {plain(percentage)}% has {-exponent} decimal places; "
            f"at most {MAX_PERCENTAGE_PLACES} are allowed",
            field="percent",
        )
