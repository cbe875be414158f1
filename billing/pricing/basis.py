"""What an invoice is computed from. Whatever else may change an invoice becomes a field here, with a default
that changes nothing, and a step of its own in `invoice.STEPS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from billing.pricing.adjustment import Adjustment, Priced
from billing.pricing.catalogue import PlanVersion
from billing.pricing.credit import Credit
from billing.pricing.currency import currency
from billing.pricing.errors import CurrencyMismatch
from billing.pricing.line import Line
from billing.pricing.money import require_whole
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program
from metering.period import Month
from metering.usage import Counts


@dataclass(frozen=True, slots=True)
class Basis:
    """All that decides the usage invoice of one account and month. `currency` is the account's, and that of
    every amount here.

    `contract` is None for a monthly account. `programs` may hold some that do not cover the month, and
    `protection` may have ended: they then change nothing. `adjustments` are of earlier months, one each.
    `credits` are what is left of the account's credit.

    Raises CurrencyMismatch if the plan has another currency: an account is billed in one (docs/rules.md §3).
    Raises AmountError for an amount that its currency has no coins for, and ValueError for values that
    contradict each other, which is a mistake of the caller.
    """

    account: str
    period: Month
    currency: str
    counts: Counts
    version: PlanVersion
    contract: ContractMonth | None = None
    programs: tuple[Program, ...] = ()
    protection: PriceProtection | None = None
    adjustments: tuple[Adjustment, ...] = ()
    credits: tuple[Credit, ...] = ()

    def __post_init__(self) -> None:
        currency(self.currency)
        if self.version.currency != self.currency:
            raise CurrencyMismatch(
                f"account {self.account} is billed in {self.currency}, "
                f"but plan {self.version.id} is priced in {self.version.currency}"
            )
        if self.contract is not None and self.contract.billable != self.counts.billable:
            raise ValueError(
                f"{self.contract.billable} runs were drawn or on demand in {self.period}, "
                f"but {self.counts.billable} are billable"
            )
        if self.protection is not None:
            require_whole(self.protection.charge, self.currency)
        self._check_adjustments()
        self._check_credits()

    @property
    def rated(self) -> int:
        """Runs that the plan's schedule prices: all billable ones, or under contract those on demand."""
        return self.counts.billable if self.contract is None else self.contract.on_demand

    def _check_adjustments(self) -> None:
        months = [adjustment.month for adjustment in self.adjustments]
        if len(set(months)) < len(months):
            raise ValueError("a month is adjusted once on an invoice")
        for adjustment in self.adjustments:
            if adjustment.month > self.period:
                raise ValueError(f"{self.period} adjusts months before it, not {adjustment.month}")
            if adjustment.month == self.period and adjustment.recomputed != Priced():
                raise ValueError(f"the lines for {self.period} are on the invoice itself")
            require_whole(adjustment.difference.amount, self.currency)

    def _check_credits(self) -> None:
        ids = [credit.id for credit in self.credits]
        if len(set(ids)) < len(ids):
            raise ValueError("a credit comes once")
        for credit in self.credits:
            require_whole(credit.amount, self.currency)


# A step answers the lines it adds. It sees the lines before it, and cannot change them.
Step = Callable[[Basis, tuple[Line, ...]], tuple[Line, ...]]
