"""Composes an invoice: an ordered list of small steps, each of which adds lines (docs/rules.md §5).

The document is what a customer would owe; numbers, status, cutoff and the proof of quantity are added by
those who store it. Composing is a function of the basis alone, so the same invoice can be computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from billing.pricing.adjustment import adjustment_lines
from billing.pricing.basis import Basis, Step
from billing.pricing.credit import CreditUse, amount_carried, carried, credit_lines, credits_used
from billing.pricing.line import LINE_ORDER, Line, LineKind
from billing.pricing.money import round_to_minor
from billing.pricing.on_demand import ContractMonth, on_demand_lines
from billing.pricing.price_protection import price_protection
from billing.pricing.program_discount import program_discount
from billing.pricing.rating import notes, over_soft_limit
from billing.pricing.usage_lines import usage_lines
from metering.period import Month
from metering.usage import Counts

__all__ = ["STEPS", "Basis", "Document", "Line", "LineKind", "Step", "compose"]

# In the order of `LineKind`. What else changes an invoice is a step here, in a file of its own.
STEPS: tuple[Step, ...] = (
    usage_lines,
    on_demand_lines,
    program_discount,
    price_protection,
    adjustment_lines,
    credit_lines,
    carried,
)


@dataclass(frozen=True, slots=True)
class Document:
    """A composed invoice. `total` is in minor units of `currency` and is the sum of the lines. `counts` holds
    the task runs that are billable, and those that are not by reason; `over_soft_limit` counts rated runs
    beyond the plan's soft limit, which are shown and not charged. `plan` is like `starter@2021-02`; `notes`
    are sentences for the customer beside the lines. `contract` says how many of the billable runs were drawn
    from committed ones and make no line; None for a monthly account."""

    account: str
    period: Month
    currency: str
    plan: str
    counts: Counts
    lines: tuple[Line, ...]
    total: int
    over_soft_limit: int
    notes: tuple[str, ...]
    contract: ContractMonth | None = None

    @property
    def credits_used(self) -> tuple[CreditUse, ...]:
        """Which account credits the lines consume, and how much of each."""
        return credits_used(self.lines)

    @property
    def carried(self) -> int:
        """What becomes new account credit, in minor units."""
        return amount_carried(self.lines)

    def to_data(self) -> dict[str, object]:
        """The document in the shape of JSON answers, without the fields that storing it adds; `contract`
        only under one."""
        data: dict[str, object] = {
            "account": self.account,
            "kind": "usage",
            "period": self.period.to_data(),
            "currency": self.currency,
            "plan": self.plan,
            "billable": self.counts.billable,
            "not_billed": self.counts.not_billed,
            "lines": [line.to_data() for line in self.lines],
            "total": self.total,
            "over_soft_limit": self.over_soft_limit,
            "notes": list(self.notes),
        }
        if self.contract is not None:
            data["contract"] = {
                "id": self.contract.contract,
                "drawn": self.contract.drawn,
                "on_demand": self.contract.on_demand,
            }
        return data


def compose(basis: Basis, steps: Sequence[Step] = STEPS) -> Document:
    """The usage invoice of an account and month. A month without billable runs, or anything else to
    bill, adjust or credit, has no lines and total 0."""
    lines: tuple[Line, ...] = ()
    for step in steps:
        lines += step(basis, lines)
    total = sum(line.amount for line in lines)
    _assert_sound(basis, lines, total)
    return Document(
        account=basis.account,
        period=basis.period,
        currency=basis.currency,
        plan=basis.version.id,
        counts=basis.counts,
        lines=lines,
        total=total,
        over_soft_limit=over_soft_limit(basis.rated, basis.version),
        notes=notes(basis.rated, basis.version) + (basis.contract.notes if basis.contract else ()),
        contract=basis.contract,
    )


def _assert_sound(basis: Basis, lines: tuple[Line, ...], total: int) -> None:
    """What holds of every invoice. A failure is a bug here, never a user's mistake."""
    places = [LINE_ORDER[line.kind] for line in lines]
    assert places == sorted(places), "the lines are not in their order"
    for line in lines:
        assert line.amount == round_to_minor(line.exact_amount, basis.currency), f"rounded otherwise: {line}"
    assert total >= 0, "an invoice is never below zero"
