"""Every line of an invoice, explained; a kind of line that nobody explains is a failing test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billing.explaining.contract_lines import explain_contract_lines
from billing.explaining.facts import Facts
from billing.explaining.rated_lines import bracket_rows, explain_rated
from billing.explaining.steps import Step
from billing.explaining.term_lines import (
    RATED,
    explain_adjustment,
    explain_carried,
    explain_credit,
    explain_program,
    explain_protection,
)
from billing.pricing.contract import Contract
from billing.pricing.line import Line, LineKind
from billing.pricing.money import to_major

# Of lines that do not depend on where they stand among those of their kind.
_BY_KIND: Mapping[LineKind, Callable[[Facts, Line], tuple[str, tuple[Step, ...]]]] = {
    LineKind.PROGRAM_DISCOUNT: explain_program,
    LineKind.PRICE_PROTECTION: explain_protection,
    LineKind.ADJUSTMENT: explain_adjustment,
    LineKind.CREDIT: explain_credit,
    LineKind.CARRIED: explain_carried,
}
# Usage invoices explain these, and contracts' invoices the others.
ON_USAGE_INVOICES = frozenset({*RATED, *_BY_KIND})
ON_CONTRACT_INVOICES = frozenset({LineKind.INSTALMENT, LineKind.SERVICE})


@dataclass(frozen=True, slots=True)
class LineExplanation:
    """A line, `number` counted from 1, in words and as a calculation. `agrees`: the last step comes to the
    line's amount. A calculation without steps cannot be done again from what the books say, and agrees with
    nothing."""

    number: int
    line: Line
    sentence: str
    steps: tuple[Step, ...]
    currency: str

    @property
    def agrees(self) -> bool:
        if not self.steps:
            return False
        result = self.steps[-1].result
        return result.unit == self.currency and result.number == to_major(self.line.amount, self.currency)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers: the line, and what explains it."""
        return {
            "number": self.number,
            **self.line.to_data(),
            "text": self.sentence,
            "steps": [each.to_data() for each in self.steps],
            "agrees": self.agrees,
        }


def explain_lines(facts: Facts) -> tuple[LineExplanation, ...]:
    """The lines of a usage invoice."""
    found = []
    places = dict.fromkeys(RATED, 0)
    held = [each.quantity for each in bracket_rows(facts.rated, facts.version) if each.quantity]
    for number, line in enumerate(facts.lines, start=1):
        if line.kind in places:
            place = places[line.kind]
            places[line.kind] += 1
            known = held[place : place + 1] == [line.quantity]
            explained = explain_rated(facts, line, place) if known else (_OTHER_RUNS, ())
        else:
            explained = _BY_KIND[line.kind](facts, line)
        found.append(LineExplanation(number, line, *explained, facts.currency))
    return tuple(found)


_OTHER_RUNS = "The brackets of the plan do not hold as many runs as this line says."


def explain_contract(
    contract: Contract, invoiced: Mapping[str, int], lines: tuple[Line, ...]
) -> tuple[LineExplanation, ...]:
    """The lines of an invoice for a contract."""
    explained = explain_contract_lines(contract, invoiced, lines)
    return tuple(
        LineExplanation(number, line, *each, contract.currency)
        for number, (line, each) in enumerate(zip(lines, explained, strict=True), start=1)
    )
