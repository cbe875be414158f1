"""Account credit, and a negative balance that is carried into it (docs/rules.md §5, 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing.pricing.errors import TermsError
from billing.pricing.line import Line, LineKind, flat_line
from billing.pricing.money import require_amount

if TYPE_CHECKING:
    from billing.pricing.basis import Basis


@dataclass(frozen=True, slots=True)
class Credit:
    """What is left of one entry of account credit: `amount` in minor units, above 0; `granted_at` is an
    instant. `description` says what it was for. Raises TermsError."""

    id: str
    amount: int
    granted_at: int
    description: str

    def __post_init__(self) -> None:
        if require_amount(self.amount) <= 0:
            raise TermsError(f"credit {self.id}: its amount must be above 0")


@dataclass(frozen=True, slots=True)
class CreditUse:
    """How much of an account credit an invoice consumed: `amount` in minor units, above 0."""

    id: str
    amount: int


def consume(credits: Iterable[Credit], due: int) -> tuple[CreditUse, ...]:
    """Draw on credits, oldest first and then by id, until nothing is due; a due of zero or less draws
    nothing. `due` is in minor units."""
    uses = []
    for credit in sorted(credits, key=lambda credit: (credit.granted_at, credit.id)):
        amount = min(credit.amount, due)
        if amount > 0:
            uses.append(CreditUse(credit.id, amount))
            due -= amount
    return tuple(uses)


def credit_lines(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """A line for each credit that is drawn on, down to a total of zero."""
    what_for = {credit.id: credit.description for credit in basis.credits}
    return tuple(
        flat_line(
            LineKind.CREDIT,
            f"Account credit: {what_for[use.id]}",
            -use.amount,
            basis.currency,
            reference=use.id,
        )
        for use in consume(basis.credits, due=sum(line.amount for line in before))
    )


def carried(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """Where the lines come to less than nothing, one that brings the total to zero. Its amount becomes
    account credit."""
    total = sum(line.amount for line in before)
    if total >= 0:
        return ()
    return (flat_line(LineKind.CARRIED, "Carried over as account credit", -total, basis.currency),)


def credits_used(lines: Iterable[Line]) -> tuple[CreditUse, ...]:
    """What an invoice's lines consumed, in their order; to be written to the account's credit ledger."""
    return tuple(
        CreditUse(line.reference, -line.amount)
        for line in lines
        if line.kind is LineKind.CREDIT and line.reference is not None
    )


def amount_carried(lines: Iterable[Line]) -> int:
    """What becomes new account credit, in minor units; 0 for most invoices."""
    return sum(line.amount for line in lines if line.kind is LineKind.CARRIED)
