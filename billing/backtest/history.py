"""What ran, and on whose terms, in columns: a row an account and month (docs/backtest.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from billing.backtest.columns import Integers
from billing.pricing.catalogue import PlanVersion
from metering.period import Month


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Accounts, and their billable runs, that are no part of a history."""

    accounts: int = 0
    billable: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Columns of one length. `account`, `month` and `version` are places in the tuples of those names;
    `billable` are the month's billable runs, `rated` those that the plan's schedule prices (under contract:
    those on demand), and `rated_then` the same under another rule; equal to `rated` where there is none.
    `percent` and `charge` are of programs and protection, as `columns.net_amounts` wants them."""

    accounts: tuple[str, ...]
    currencies: tuple[str, ...]
    months: tuple[Month, ...]
    versions: tuple[PlanVersion, ...]
    account: Integers
    month: Integers
    version: Integers
    billable: Integers
    rated: Integers
    rated_then: Integers
    percent: Integers
    charge: Integers
    under_contract: NDArray[np.bool_]
    not_billed_then: LeftOut = LeftOut()
    unassigned: LeftOut = LeftOut()

    def __post_init__(self) -> None:
        if len({len(column) for column in self._columns()}) > 1:
            raise ValueError("the columns of a history have one length")

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return (
            self.account,
            self.month,
            self.version,
            self.billable,
            self.rated,
            self.rated_then,
            self.percent,
            self.charge,
            self.under_contract,
        )

    @property
    def rows(self) -> int:
        return len(self.account)

    def currency_codes(self) -> tuple[str, ...]:
        """The currencies of all accounts, each once, in order."""
        return tuple(sorted(set(self.currencies)))

    def currency(self) -> Integers:
        """Of each row the place of its currency in `currency_codes`."""
        codes = {code: place for place, code in enumerate(self.currency_codes())}
        of_account = np.array([codes[each] for each in self.currencies], dtype=np.int64)
        return of_account[self.account] if self.rows else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan version, and whose place it takes: a plan, all its versions, or one version like
    `starter@2021-02`."""

    version: PlanVersion
    instead_of: str

    def replaces(self, version: PlanVersion) -> bool:
        return version.id != self.version.id and self.instead_of in (version.plan, version.id)


def refuse_overlap(drafts: Sequence[Draft]) -> str | None:
    """Why drafts cannot be compared together: an account moves to one of them."""
    for number, draft in enumerate(drafts):
        for other in drafts[:number]:
            plans = [each.instead_of.partition("@")[0] for each in (draft, other)]
            whole = "@" not in draft.instead_of or "@" not in other.instead_of
            if draft.instead_of == other.instead_of or (whole and plans[0] == plans[1]):
                return (
                    f"{other.version.id} and {draft.version.id} would both take the place of "
                    f"{draft.instead_of}; compare them one after the other"
                )
    return None
