"""What the journal and the report are computed from: documents and what happened to them, credit, and what
was drawn of commitments. Pure.

Amounts are integers in minor units, instants microseconds, both as everywhere. All of an account is in its
own currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from billing.pricing.line import Line
from metering.period import Month


@dataclass(frozen=True, slots=True)
class Note:
    """A credit note. `is_settled`: Stripe has it, so what of it was paid before is given back."""

    number: str
    amount: int
    kind: str
    at: int
    reason: str
    is_settled: bool


@dataclass(frozen=True, slots=True)
class CreditRow:
    """A row of the account's credit, signed; `kind` as in the credit ledger, `invoice` the number of the
    invoice that made it, `note` that of the credit note."""

    id: str
    kind: str
    amount: int
    at: int
    description: str
    invoice: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The invoice had a status from an instant on: `open`, `paid`, `uncollectible`."""

    status: str
    at: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What Stripe collected, from the day on which we learned of it; less than 0: what it took back."""

    number: int
    amount: int
    at: int


@dataclass(frozen=True, slots=True)
class Reversal:
    """Money that went back, from the day on which we learned of it: a refund, or a dispute that was lost. A
    refund that failed after all has a second one, of less than 0."""

    id: str
    kind: str
    amount: int
    at: int
    number: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """An issued invoice. `total` is before tax; `tax` is what Stripe added.
    `replaces`: it was issued instead of a void one. `due_on` is the last day to pay on."""

    number: str
    account: str
    kind: str
    month: Month
    currency: str
    plan: str
    status: str
    lines: tuple[Line, ...]
    total: int
    issued_at: int
    due_on: date
    tax: int = 0
    # Tax included.
    payments: tuple[Payment, ...] = ()
    replaces: bool = False
    contract: str | None = None
    voided_at: int | None = None
    statuses: tuple[Status, ...] = ()
    notes: tuple[Note, ...] = ()
    given_back: tuple[CreditRow, ...] = ()
    # Rows by which its voiding returned credit, or withdrew it.
    undone: tuple[CreditRow, ...] = ()
    reversals: tuple[Reversal, ...] = ()
    billable: int = 0
    drawn: int = 0
    not_billed: Mapping[str, int] | None = None

    @property
    def paid(self) -> int:
        return sum(each.amount for each in self.payments)


@dataclass(frozen=True, slots=True)
class Close:
    """What was earned of a contract up to the end of a month, as it was known when the month was billed:
    `drawn` and `expired` in minor units and runs, each from the start of the term on. `is_final`: it will be
    the same whenever it is asked for."""

    month: Month
    drawn: int
    expired: int
    drawn_runs: int
    expired_runs: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """A service of a contract with a price, on the day on which it was delivered."""

    number: int
    description: str
    price: int
    on: date


@dataclass(frozen=True, slots=True)
class Commitment:
    """A contract; `closes` by month from its first one on."""

    contract: str
    closes: tuple[Close, ...]
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """All of an account, from its beginning on. `credits`: every row of its credit."""

    account: str
    currency: str
    documents: tuple[Document, ...] = ()
    credits: tuple[CreditRow, ...] = ()
    commitments: tuple[Commitment, ...] = ()
