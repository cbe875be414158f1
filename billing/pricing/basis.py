"""What an invoice is computed from. Whatever else may change an invoice becomes a field here, with a default
that changes nothing, and a step of its own in `invoice.STEPS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from billing.pricing.catalogue import PlanVersion
from billing.pricing.currency import currency
from billing.pricing.errors import CurrencyMismatch
from billing.pricing.line import Line
from metering.period import Month
from metering.usage import Counts


@dataclass(frozen=True, slots=True)
class Basis:
    """All that decides the usage invoice of one account and month. `currency` is the account's. Raises
    CurrencyMismatch if the plan has another: an account is billed in one currency (docs/rules.md §3)."""

    account: str
    period: Month
    currency: str
    counts: Counts
    version: PlanVersion

    def __post_init__(self) -> None:
        currency(self.currency)
        if self.version.currency != self.currency:
            raise CurrencyMismatch(
                f"account {self.account} is billed in {self.currency}, "
                f"but plan {self.version.id} is priced in {self.version.currency}"
            )


# A step answers the lines it adds. It sees the lines before it, and cannot change them.
Step = Callable[[Basis, tuple[Line, ...]], tuple[Line, ...]]
