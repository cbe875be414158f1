"""The journal's accounts, and its entries: double entry, in minor units of one currency each. Pure
(docs/revenue.md)."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple


class LedgerAccount(enum.Enum):
    """Code and name. The first digit says the kind: 1 what we have, 2 what we owe, 3 what was there before,
    4 what was earned (and what lessens it), 5 what was lost."""

    CASH = ("1000", "Cash")
    RECEIVABLE = ("1100", "Accounts receivable")
    STRIPE_BALANCE = ("1110", "Customer balances at Stripe")
    UNBILLED_USAGE = ("1200", "Unbilled usage")
    CUSTOMER_CREDIT = ("2000", "Customer credit")
    DEFERRED = ("2100", "Deferred revenue")
    TAX = ("2200", "Tax payable")
    OPENING = ("3000", "Opening balances")
    USAGE = ("4000", "Usage revenue")
    ON_DEMAND = ("4010", "On-demand revenue")
    COMMITMENTS = ("4020", "Commitment revenue")
    BREAKAGE = ("4030", "Breakage")
    SERVICES = ("4040", "Services revenue")
    ADJUSTMENTS = ("4050", "Adjustments of earlier months")
    DISCOUNTS = ("4100", "Program discounts")
    PROTECTION = ("4110", "Price protection")
    CREDIT_NOTES = ("4120", "Credit notes")
    CREDIT_GRANTED = ("4130", "Credit granted")
    REFUNDS = ("4140", "Refunds and chargebacks")
    BAD_DEBTS = ("5000", "Bad debts")

    def __init__(self, code: str, title: str) -> None:
        self.code = code
        self.title = title

    @property
    def is_earned(self) -> bool:
        """Whether it counts as revenue, or lessens it."""
        return self.code.startswith("4")


class Posting(NamedTuple):
    """`amount` in minor units: a debit above 0, a credit below."""

    ledger: LedgerAccount
    amount: int


class Kind(enum.StrEnum):
    """What an entry is for. The order is that of the entries of a day: an invoice is there before what is
    earned of it."""

    CREDIT_GRANTED = "credit_granted"
    INVOICE = "invoice"
    TAX = "tax"
    CREDIT_NOTE = "credit_note"
    VOID = "void"
    ACCRUAL = "accrual"
    DRAWN = "drawn"
    BREAKAGE = "breakage"
    SERVICE = "service"
    GIVEN_BACK = "given_back"
    PAYMENT = "payment"
    SETTLEMENT = "settlement"
    REFUND = "refund"
    WRITE_OFF = "write_off"
    RECOVERY = "recovery"


ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One business event. `id` is the same whenever the journal is made, so an entry is imported once;
    `customer` is the account that is billed, `document` the number of an invoice or note. Postings come to
    0; none of them is of nothing."""

    id: str
    on: date
    kind: Kind
    customer: str
    currency: str
    description: str
    postings: tuple[Posting, ...]
    document: str | None = None
    contract: str | None = None

    def __post_init__(self) -> None:
        assert sum(each.amount for each in self.postings) == 0, f"{self.id} does not balance"
        assert self.postings and all(each.amount for each in self.postings), f"{self.id} has empty postings"


def postings(*pairs: tuple[LedgerAccount, int]) -> tuple[Posting, ...]:
    """By account, in the order of the codes, debits first; what comes to nothing is left out."""
    sums: Counter[LedgerAccount] = Counter()
    for ledger, amount in pairs:
        sums[ledger] += amount
    held = [Posting(ledger, amount) for ledger, amount in sums.items() if amount]
    return tuple(sorted(held, key=lambda each: (each.amount < 0, each.ledger.code)))


def balances(entries: Iterable[Entry]) -> Counter[tuple[str, LedgerAccount]]:
    """What is on each account, by currency: debits above 0."""
    found: Counter[tuple[str, LedgerAccount]] = Counter()
    for entry in entries:
        for ledger, amount in entry.postings:
            found[entry.currency, ledger] += amount
    return found
