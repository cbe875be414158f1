"""Lines of a price a run: which runs fell into the bracket, and what they cost (docs/rules.md §3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.explaining.facts import Facts
from billing.explaining.steps import Operation, Step, Value, decimal_text, runs, step
from billing.pricing.catalogue import PlanVersion
from billing.pricing.line import Line, LineKind
from billing.pricing.rating import free_runs, rate


@dataclass(frozen=True, slots=True)
class BracketRow:
    """A bracket of the plan: runs `first` to `last` of a month (None: without end), how many of the month's
    runs fell into it, and what they cost: `exact_amount` in major units, `amount` in minor ones."""

    first: int
    last: int | None
    unit_price: Decimal
    quantity: int
    exact_amount: Decimal
    amount: int


def bracket_rows(quantity: int, version: PlanVersion) -> tuple[BracketRow, ...]:
    """All brackets of a plan, those without runs too, for a month of so many priced runs."""
    rated = {each.first: each for each in rate(quantity, version)}
    rows, lower = [], 0
    for bracket in version.brackets:
        held = rated.get(lower + 1)
        rows.append(
            BracketRow(
                lower + 1,
                bracket.up_to,
                bracket.unit_price,
                held.quantity if held else 0,
                held.exact_amount if held else Decimal(0),
                held.amount if held else 0,
            )
        )
        lower = bracket.up_to or lower
    return tuple(rows)


def explain_rated(facts: Facts, line: Line, place: int) -> tuple[str, tuple[Step, ...]]:
    """The line that is at `place` among the lines that have a price a run."""
    row = [each for each in bracket_rows(facts.rated, facts.version) if each.quantity][place]
    price = Value(row.unit_price, facts.currency)
    counted = runs(0) if row.first == 1 else runs(row.first - 1, before_text(row.first - 1, facts.version))
    steps = [*_on_demand(facts), *_in_bracket(facts, row, counted)]
    cost = step(Operation.MULTIPLY, runs(row.quantity), price, unit=facts.currency)
    steps += [cost, step(Operation.ROUND, cost.result)]
    return _sentence(row, line, facts.currency), tuple(steps)


def _on_demand(facts: Facts) -> Iterator[Step]:
    if facts.drawn:
        yield step(
            Operation.SUBTRACT,
            runs(facts.billable, "billable runs"),
            runs(facts.drawn, "paid for in advance"),
            what="runs on demand",
        )


def _in_bracket(facts: Facts, row: BracketRow, before: Value) -> Iterator[Step]:
    total = runs(facts.rated, "runs on demand" if facts.drawn else "billable runs")
    if row.last is not None and facts.rated > row.last:
        yield step(Operation.LEAST, total, runs(row.last, "runs, where the bracket ends"))
        total = runs(row.last)
    if row.first > 1:
        yield step(Operation.SUBTRACT, total, before)


def before_text(quantity: int, version: PlanVersion) -> str:
    """What the runs below a bracket are called."""
    return "free" if free_runs(version) == quantity else "in the brackets before"


def _sentence(row: BracketRow, line: Line, code: str) -> str:
    where = (
        f"Run {row.first:,}"
        if row.quantity == 1
        else f"Runs {row.first:,} to {row.first + row.quantity - 1:,}"
    )
    kind = "of the month" if line.kind is LineKind.USAGE else "on demand"
    if row.unit_price == 0:
        return f"{where} {kind} {'is' if row.quantity == 1 else 'are'} free."
    each = f"{decimal_text(row.unit_price, code)} {code}{'' if row.quantity == 1 else ' each'}"
    return f"{where} {kind} {'costs' if row.quantity == 1 else 'cost'} {each}."
