"""What the lines of a usage invoice are explained from: itself, and the account's books as it found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing.pricing.adjustment import billed_for, priced
from billing.pricing.basis import Basis
from billing.pricing.books import Books
from billing.pricing.catalogue import Catalogue, PlanVersion
from billing.pricing.credit import Credit
from billing.pricing.invoice import compose
from billing.pricing.line import Line, LineKind
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, best
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts


@dataclass(frozen=True, slots=True)
class Billed:
    """What one document billed for a month: `amount` in minor units."""

    what: str
    amount: int


@dataclass(frozen=True, slots=True)
class Adjusted:
    """An earlier month that a line adjusts. `billed` are the documents that billed for it before, with
    `runs_before` task runs; `runs_now` is how many it has since, and `lines` what they come to on the terms
    that hold now. `plan` is the version that prices it. `otherwise`: what was billed is not what those runs
    cost now, so terms changed since, or credit notes were given."""

    billed: tuple[Billed, ...]
    runs_before: int
    runs_now: int
    plan: str
    lines: tuple[Line, ...]
    otherwise: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """`rated` of the `billable` runs are priced: all but those `drawn` from committed runs (None for a
    monthly account). `lines` are the document's own. `credits` are what was left of each before it, by id."""

    period: Month
    currency: str
    version: PlanVersion
    billable: int
    drawn: int | None
    lines: tuple[Line, ...]
    program: Program | None
    protection: PriceProtection | None
    adjusted: Mapping[Month, Adjusted]
    credits: Mapping[str, Credit]

    @property
    def rated(self) -> int:
        return self.billable - (self.drawn or 0)


def facts_of(
    books: Books,
    catalogue: Catalogue,
    month: Month,
    *,
    plan: str,
    billable: int,
    drawn: int | None,
    lines: tuple[Line, ...],
    numbers: Mapping[Month, str],
) -> Facts:
    """From the books as the document found them; `numbers` are those of the invoices in them, by month.
    Raises PricingError."""
    return Facts(
        period=month,
        currency=books.currency,
        version=catalogue.get(plan),
        billable=billable,
        drawn=drawn,
        lines=lines,
        program=best(books.terms.programs, month),
        protection=books.terms.protection(month),
        adjusted={
            line.month: _adjusted(books, catalogue, month, line, numbers)
            for line in lines
            if line.kind is LineKind.ADJUSTMENT and line.month is not None
        },
        credits={each.id: each for each in books.credits},
    )


def _adjusted(
    books: Books, catalogue: Catalogue, period: Month, line: Line, numbers: Mapping[Month, str]
) -> Adjusted:
    """The line says how many runs the month has more than were billed: so what it comes to now needs no look
    at the events, only at the prices."""
    month = line.month
    assert month is not None
    held = {each.month: each for each in books.issued if each.month != period}
    own = held.get(month)
    others = [each for of, each in held.items() if of != month]
    before = billed_for(
        month,
        own.lines if own else (),
        [each for other in others for each in other.lines],
        own.credited if own else 0,
    )
    documents = []
    if own is not None:
        documents.append(Billed(f"invoice {numbers.get(month, month)}", priced(own.lines).amount))
    for other in (*([own] if own else []), *others):
        amount = sum(
            each.amount for each in other.lines if each.kind is LineKind.ADJUSTMENT and each.month == month
        )
        if amount:
            documents.append(Billed(f"adjusted on {numbers.get(other.month, other.month)}", amount))
    if own is not None and own.credited:
        documents.append(Billed("credit notes", -own.credited))
    runs_now = 0 if month == period else max(0, before.runs + line.quantity)
    plan = books.terms.plan(month)
    if month == period:
        return Adjusted(tuple(documents), before.runs, runs_now, plan, (), False)
    now = _own_lines(books, catalogue, month, runs_now)
    as_before = priced(_own_lines(books, catalogue, month, max(0, before.runs)))
    otherwise = as_before.amount != before.amount
    return Adjusted(tuple(documents), before.runs, runs_now, plan, now, otherwise)


def _own_lines(books: Books, catalogue: Catalogue, month: Month, rated: int) -> tuple[Line, ...]:
    """What a month with so many priced runs comes to on the terms of the books."""
    contract = books.terms.contract(month)
    basis = Basis(
        account=books.account,
        period=month,
        currency=books.currency,
        counts=Counts({Outcome.BILLABLE: rated}),
        version=catalogue.get(books.terms.plan(month)),
        contract=None if contract is None else ContractMonth(contract.id, 0, rated),
        programs=books.terms.programs,
        protection=books.terms.protection(month),
    )
    return compose(basis).lines
