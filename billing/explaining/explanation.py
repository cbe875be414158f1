"""An invoice or a preview, explained, as every door gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing.errors import Invalid
from billing.explaining.change import Change, change_text
from billing.explaining.counting import rules_data
from billing.explaining.draws import MonthDraws
from billing.explaining.lines import LineExplanation
from billing.explaining.names import Top
from billing.explaining.rated_lines import BracketRow
from billing.pricing.money import plain
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Explanation:
    """`document` is what identifies it, in the shape of JSON answers: `id`, `number` and so on, up to
    `total`. `brackets` are all of the plan's, `rated` the runs that fell into them; none on a contract's
    invoice. `drawn` is None for a monthly account, `draws` where it is not shown who served what; `notes` say
    why. `change` and `top` are None on a contract's invoice."""

    document: Mapping[str, object]
    month: Month
    currency: str
    lines: tuple[LineExplanation, ...]
    brackets: tuple[BracketRow, ...] = ()
    rated: int = 0
    contract: str | None = None
    drawn: int | None = None
    draws: MonthDraws | None = None
    change: Change | None = None
    top: Top | None = None
    run_list_sha256: str | None = None
    file: str | None = None
    billable: int = 0
    rule_version: str | None = None
    notes: tuple[str, ...] = ()

    def to_data(self, line: int | None = None) -> dict[str, object]:
        """In the shape of JSON answers; `line`: with this line alone, counted from 1. Raises Invalid."""
        lines = self.lines
        if line is not None:
            if not 1 <= line <= len(lines):
                held = f"there are lines 1 to {len(lines)}" if lines else "there are no lines"
                raise Invalid(f"there is no line {line}; {held}", field="line")
            lines = (lines[line - 1],)
        return {
            **self.document,
            "agrees": all(each.agrees for each in lines),
            "rules": None if self.rule_version is None else rules_data(self.rule_version),
            "rated": self.rated,
            "brackets": [_bracket_data(each) for each in self.brackets],
            "lines": [each.to_data() for each in lines],
            "contract": self._contract_data(),
            "change": self._change_data(),
            "top": None if self.top is None else self.top.to_data(),
            "proof": self._proof_data(),
            "notes": list(self.notes),
        }

    def _contract_data(self) -> dict[str, object] | None:
        if self.contract is None:
            return None
        held: dict[str, object] = {"grants": None, "days": None}
        if self.draws is not None:
            held = self.draws.to_data()
        return {"id": self.contract, "drawn": self.drawn, "on_demand": self.rated, **held}

    def _change_data(self) -> dict[str, object] | None:
        if self.change is None:
            return None
        return {"text": change_text(self.change, self.currency), **self.change.to_data()}

    def _proof_data(self) -> dict[str, object] | None:
        """How to check the run list with tools that every system has. An id may have commas; what follows it
        has none, so fields are counted from the end."""
        if self.run_list_sha256 is None:
            return None
        rest = f"tail -n +2 {self.file} | awk -F,"
        commands = (
            (f"sha256sum {self.file}", "The SHA-256 of the invoice", self.run_list_sha256),
            (f"wc -l < {self.file}", "A line for each billed run, and a header line", f"{self.billable + 1}"),
            (f"{rest} '$NF <= 1000000' | wc -l", "Billed runs of a second or less", "0"),
            (
                f"{rest} '{{ print substr($(NF-1), 1, 10) }}' | sort | uniq -c",
                "The billed runs of each day",
                None,
            ),
        )
        return {
            "run_list_sha256": self.run_list_sha256,
            "file": self.file,
            "billed": self.billable,
            "commands": [
                {"command": each, "text": text, "expect": expect} for each, text, expect in commands
            ],
        }


def _bracket_data(row: BracketRow) -> dict[str, object]:
    return {
        "from": row.first,
        "to": row.last,
        "unit_price": plain(row.unit_price),
        "quantity": row.quantity,
        "exact_amount": plain(row.exact_amount),
        "amount": row.amount,
    }
