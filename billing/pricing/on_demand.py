"""On-demand usage: what an account under contract uses beyond its run balance (docs/rules.md §4; §5, 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing.pricing.line import Line, LineKind
from billing.pricing.usage_lines import rated_lines

if TYPE_CHECKING:
    from billing.pricing.basis import Basis


@dataclass(frozen=True, slots=True)
class ContractMonth:
    """An account's month under contract: how many of its billable runs the committed runs served, and how
    many are on demand. Both come out of `drawdown.draw`. `contract` is the contract's id. Raises ValueError
    for a negative quantity."""

    contract: str
    drawn: int
    on_demand: int

    def __post_init__(self) -> None:
        if self.drawn < 0 or self.on_demand < 0:
            raise ValueError(f"a quantity of runs is never negative: {self}")

    @property
    def billable(self) -> int:
        return self.drawn + self.on_demand

    @property
    def notes(self) -> tuple[str, ...]:
        """What the customer should know of runs that make no line."""
        if not self.drawn:
            return ()
        runs = "1 task run was" if self.drawn == 1 else f"{self.drawn:,} task runs were"
        return (f"{runs} drawn from the committed runs of contract {self.contract}.",)


def on_demand_lines(basis: Basis, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """Under contract, the on-demand runs over the plan's whole schedule, from its first bracket on and with
    its free runs. Runs that were drawn make no line: they are paid for, and named in a note."""
    if basis.contract is None:
        return ()
    return rated_lines(LineKind.ON_DEMAND, "On-demand task run", basis.contract.on_demand, basis)
