"""From an account's books to what a month's invoice is computed from: pure, so that `verify` can do it again.

An invoice is decided by what was agreed (terms), by what live documents billed before, by the credit that is
left, and by usage: of its own month, of earlier invoiced months (which it adjusts), and under contract of the
term so far (which the month draws after).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from billing.pricing.adjustment import Adjustment, Priced, billed_for, priced
from billing.pricing.basis import Basis
from billing.pricing.catalogue import Catalogue
from billing.pricing.contract import Contract, term_usage
from billing.pricing.credit import Credit
from billing.pricing.drawdown import Drawdown, draw
from billing.pricing.invoice import compose
from billing.pricing.line import Line
from billing.pricing.on_demand import ContractMonth
from billing.pricing.terms import Terms
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Counts

# Counts of the days that had task runs.
DailyCounts = Mapping[date, Counts]


@dataclass(frozen=True, slots=True)
class Issued:
    """A live usage invoice of the account, as far as it has a say in others. `credited`: its credit notes of
    kind `usage`, as a magnitude in minor units."""

    month: Month
    lines: tuple[Line, ...]
    credited: int = 0


@dataclass(frozen=True, slots=True)
class Books:
    """An account's books, drafts and void invoices left out. `credits` are what is left of the account's
    credit. `currency` is the account's."""

    account: str
    currency: str
    terms: Terms
    issued: tuple[Issued, ...] = ()
    credits: tuple[Credit, ...] = ()


def first_month(books: Books, month: Month) -> Month:
    """The first month whose usage has a say in the invoice for `month`."""
    earlier = [each.month for each in books.issued if each.month < month]
    covered = [books.terms.contract(each) for each in (month, *earlier)]
    starts = [Month(each.start.year, each.start.month) for each in covered if each is not None]
    return min(month, *earlier, *starts) if earlier or starts else month


def own_basis(books: Books, catalogue: Catalogue, month: Month, usage: DailyCounts) -> Basis:
    """What the month's own lines are computed from: no other documents, no credit. `usage` holds at least the
    days of the month and, under contract, those of its term before it. Raises PricingError."""
    return _own(books, catalogue, month, usage, {})


def own_price(books: Books, catalogue: Catalogue, month: Month, usage: DailyCounts) -> Priced:
    """What those lines come to: usage, discounts and protection. Raises PricingError."""
    return priced(compose(own_basis(books, catalogue, month, usage)).lines)


def month_basis(books: Books, catalogue: Catalogue, month: Month, usage: DailyCounts) -> Basis:
    """What the month's invoice is computed from. `usage` holds at least the days from `first_month` on, up to
    the end of the month. An invoice of the month itself is left out of account, as if it were void. Raises
    PricingError."""
    drawn: dict[str, Drawdown] = {}
    adjustments = [
        Adjustment(
            each.month,
            recomputed=priced(compose(_own(books, catalogue, each.month, usage, drawn)).lines),
            billed=_billed_for(books, each.month, month),
            on_demand=books.terms.contract(each.month) is not None,
        )
        for each in books.issued
        if each.month < month
    ]
    # What invoices of other months adjusted of this one already, while another invoice for it was live.
    adjustments.append(Adjustment(month, recomputed=Priced(), billed=_billed_for(books, month, month)))
    own = _own(books, catalogue, month, usage, drawn)
    return replace(own, adjustments=tuple(adjustments), credits=books.credits)


def _own(
    books: Books, catalogue: Catalogue, month: Month, usage: DailyCounts, drawn: dict[str, Drawdown]
) -> Basis:
    terms = books.terms
    contract = terms.contract(month)
    protection = terms.protection(month)
    return Basis(
        account=books.account,
        period=month,
        currency=books.currency,
        counts=month_counts(usage, month),
        version=catalogue.get(terms.plan(month)),
        contract=None if contract is None else _contract_month(contract, month, usage, drawn),
        programs=terms.programs,
        protection=protection,
    )


def _contract_month(
    contract: Contract, month: Month, usage: DailyCounts, drawn: dict[str, Drawdown]
) -> ContractMonth:
    """`drawn` remembers the drawing of a contract: all its months come out of one."""
    if contract.id not in drawn:
        drawn[contract.id] = draw(contract.grants, term_usage(contract, billable_by_day(usage)))
    drawdown = drawn[contract.id]
    return ContractMonth(contract.id, drawdown.drawn(month), drawdown.on_demand(month))


def billable_by_day(usage: DailyCounts) -> dict[date, int]:
    """The billable runs of each day."""
    return {day: counts.billable for day, counts in usage.items()}


def month_counts(usage: DailyCounts, month: Month) -> Counts:
    """The counts of a month's days together."""
    total: Counter[Outcome] = Counter()
    for day, counts in usage.items():
        if (day.year, day.month) == (month.year, month.number):
            total.update(counts.by_outcome)
    return Counts(dict(total))


def _billed_for(books: Books, month: Month, invoice_month: Month) -> Priced:
    """What live documents billed for a month, the invoice of `invoice_month` left out."""
    own: tuple[Line, ...] = ()
    others: list[Line] = []
    credited = 0
    for each in books.issued:
        if each.month == invoice_month:
            continue
        if each.month == month:
            own, credited = each.lines, each.credited
        else:
            others += each.lines
    return billed_for(month, own, others, credited)
